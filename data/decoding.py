"""Decoding called from Python.

Most images are decoded by ops of the pipeline's graph, a group at a time. What is large, and what
may fail and must not end the run, is decoded one by one here.
"""

import threading

import tensorflow as tf

from data import preprocess, reader
from data.memory import budget

# Of more pixels than this, an image is decoded by itself: a call from Python is then a small part
# of its time, and a group of them would take too much memory.
LARGE_PIXELS = 1 << 19


class Decoder:
    """Callable from any thread: Example -> its pixels, by the pipeline's own op.

    Its session is made at the first use: the first session of a process sets the threads of all,
    and has to be the run's own.
    """

    def __init__(self):
        self._session, self._lock = None, threading.Lock()

    def __call__(self, example):
        """uint8 [height, width, 3]. Raises tf.errors.OpError."""
        with self._lock:
            if self._session is None:
                self._open()
        return self._session.run(
            self._pixels,
            {self._encoded: example.encoded, self._window: example.window},
            options=self._options,
        )

    def refusal(self, encoded, height, width):
        """Why an encoded image of this size cannot be decoded as a whole; None where it can be."""
        whole = reader.Example(encoded, [0, 0, height, width], False, None, 0, 1, height * width)
        try:
            with budget.hold(3 * whole.pixels):
                self(whole)
        except tf.errors.OpError as error:
            return error.message.split('\n')[0]
        return None

    def _open(self):
        with tf.Graph().as_default() as graph, tf.device('/cpu:0'):
            self._encoded = tf.placeholder(tf.string, [])
            self._window = tf.placeholder(tf.int32, [4])
            self._pixels = preprocess.decode(self._encoded, self._window)
        # Runs on the thread that calls: those of the run's own session may be busy with a step.
        self._options = tf.RunOptions(inter_op_thread_pool=-1)
        self._session = tf.Session(graph=graph)
