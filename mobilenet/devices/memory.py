"""Memory of a run on a host, flat over days.

TensorFlow 1.15 keeps 1,024 of oneDNN's primitives a thread, those used last, and oneDNN 0.x 16
bytes of every use of one, as long as the primitive lives: 2.7 kB a step of a MobileNet.
"""

import ctypes
import threading

import tensorflow as tf

PERIOD = 1000  # steps: 3 MB; making anew takes 0.1 s
_KEPT = 1024
_WAIT = 1  # seconds for a thread of TensorFlow's that an input pipeline uses


def give_back():
    """To the system: glibc keeps what is freed between what is not, 60 MiB after a graph's
    optimization.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, 'malloc_trim'):
        libc.malloc_trim(0)


class NoCache:
    """Where no primitives are kept."""

    def before(self, sess, steps):
        """To be called before so many steps run."""


class PrimitiveCache:
    """Primitives of other shapes push the step's out now and then; the next step makes its own
    again, to the same bits.

    Adds its ops to the default graph. num_threads: TensorFlow's, inter_op: each has a cache.
    """

    def __init__(self, num_threads):
        self._met = threading.Barrier(num_threads)
        with tf.name_scope('primitive_cache'):
            self._renew = tf.group(*[self._fill_thread() for _ in range(num_threads)])
        self._steps = PERIOD  # at once, so that a full cache is part of the memory of a start

    def before(self, sess, steps):
        """To be called before so many steps run."""
        if self._steps >= PERIOD:
            self._met.reset()
            sess.run(self._renew)
            give_back()
            self._steps = 0
        self._steps += steps

    def _fill_thread(self):
        """The op that fills the cache of a thread: of one each, since all wait for all."""
        with tf.control_dependencies([tf.py_func(self._meet, [], [])]):
            first = tf.constant(1)
        return tf.while_loop(
            lambda size: size <= _KEPT,
            lambda size: tf.size(tf.nn.relu(tf.zeros([size]))) + 1,
            [first],
            parallel_iterations=1,
            back_prop=False,
        ).op

    def _meet(self):
        try:
            self._met.wait(_WAIT)
        except threading.BrokenBarrierError:
            pass  # one thread's cache is renewed twice, another's at the next time
