"""What ranks tell each other outside the step: rank 0's values for all, and a few bytes of each."""

import numpy as np
import tensorflow as tf

from mobilenet import state

GATHERED_BYTES = 120  # that one rank may give to Gather
_PART = 1 << 20  # a counter travels as two float32, each exact: only floats are broadcast over HCCL


class Broadcast:
    """Built into the graph after all variables; `run(sess)` gives every rank rank 0's float
    variables and counters.
    """

    def __init__(self, variables, counters, collectives):
        self._counters, self._size = counters, collectives.size
        if self._size == 1:
            return
        floats = [v for v in variables if v.dtype.base_dtype == tf.float32]
        self._parts = state.local_vector('counter_parts', 2 * len(counters))
        targets = floats + [self._parts]
        values = collectives.broadcast([v.read_value() for v in targets])
        # All have arrived before the first is written; through one op, or each write would wait for
        # each of hundreds.
        with tf.control_dependencies([tf.group(*values)]):
            self._op = tf.group(
                *[
                    tf.raw_ops.AssignVariableOp(resource=v.handle, value=value)
                    for v, value in zip(targets, values)
                ]
            )

    def run(self, sess):
        if self._size == 1:
            return
        counts = sess.run(self._counters)
        self._parts.load([part for c in counts for part in (c // _PART, c % _PART)], sess)
        sess.run(self._op)
        parts = sess.run(self._parts)
        for variable, high, low in zip(self._counters, parts[::2], parts[1::2]):
            variable.load(int(high) * _PART + int(low), sess)


class Gather:
    """A few bytes of each rank for all of them, between loops."""

    def __init__(self, collectives):
        self._size = collectives.size
        if self._size == 1:
            return
        # A row a rank, others' zero: their sum has all. A byte is exact in any float that HCCL
        # takes.
        row = 1 + GATHERED_BYTES
        self._own = tf.placeholder(tf.float32, [row], 'gather_own')
        mine = tf.one_hot(collectives.rank, self._size, dtype=tf.float32)
        rows = mine[:, None] * self._own[None, :]
        self._all = collectives.allreduce_sum_unfused(rows)

    def run(self, sess, data):
        """[bytes of rank 0, of rank 1, …]. Every rank has to come here. Raises ValueError where
        `data` is too long.
        """
        if len(data) > GATHERED_BYTES:
            raise ValueError(f'{len(data)} bytes: at most {GATHERED_BYTES} travel at once')
        if self._size == 1:
            return [bytes(data)]
        row = [len(data), *data] + [0] * (GATHERED_BYTES - len(data))
        rows = sess.run(self._all, {self._own: row})
        return [bytes(np.rint(r[1 : 1 + int(r[0])]).astype(np.uint8)) for r in rows]
