"""Rank 0's values for all ranks: after the start, and after a restore."""

import tensorflow as tf

_PART = 1 << 20  # a counter travels as two float32, each exact: only floats are broadcast over HCCL


class Broadcast:
    """Built into the graph after all variables; `run(sess)` gives every rank rank 0's float variables and counters."""

    def __init__(self, variables, counters, collectives):
        self._counters, self._size = counters, collectives.size
        if self._size == 1:
            return
        floats = [v for v in variables if v.dtype.base_dtype == tf.float32]
        self._parts = tf.get_variable(
            'counter_parts',
            [2 * len(counters)],
            tf.float32,
            tf.zeros_initializer(),
            trainable=False,
            use_resource=True,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
        )
        targets = floats + [self._parts]
        values = collectives.broadcast([v.read_value() for v in targets])
        # All have arrived before the first is written; through one op, or each write would wait for each of hundreds.
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
