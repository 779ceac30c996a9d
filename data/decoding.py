"""Decoding called from Python, on the thread that asks for it."""

import threading

import numpy as np
import tensorflow as tf
from tensorflow.python import pywrap_tensorflow

from data import preprocess, reader
from data.memory import budget

MOST = 16  # images a call


class Decoder:
    """Callable from any thread: up to 16 Examples -> their pixels, by TensorFlow's own op.

    Its session is made at the first use: the first session of a process sets the threads of all,
    and has to be the run's own.
    """

    def __init__(self):
        self._session, self._lock = None, threading.Lock()

    def __call__(self, examples):
        """A list of uint8 [height, width, 3]. Raises tf.errors.OpError."""
        with self._lock:
            if self._session is None:
                self._open()
        feeds = {}
        for (encoded, window), example in zip(self._feeds, examples):
            feeds[encoded] = np.empty([], object)  # of bytes TensorFlow would make a copy more
            feeds[encoded][()] = example.encoded
            feeds[window] = example.window
        # What Session.run ends in: its own part would take 0.2 ms, a quarter of a decoding.
        return self._session._call_tf_sessionrun(
            self._options, feeds, self._pixels[: len(examples)], [], None
        )

    def refusal(self, encoded, height, width):
        """Why an encoded image of this size cannot be decoded as a whole; None where it can be."""
        window = np.array([0, 0, height, width], np.int32)
        whole = reader.Example(encoded, window, False, None, 0, 1, height * width)
        try:
            with budget.hold(3 * whole.pixels):
                self([whole])
        except tf.errors.OpError as error:
            return error.message.split('\n')[0]
        return None

    def _open(self):
        with tf.Graph().as_default() as graph, tf.device('/cpu:0'):
            feeds = [
                (tf.placeholder(tf.string, []), tf.placeholder(tf.int32, [4])) for _ in range(MOST)
            ]
            pixels = [preprocess.decode(*pair) for pair in feeds]
        self._feeds = [tuple(tensor._as_tf_output() for tensor in pair) for pair in feeds]
        self._pixels = [tensor._as_tf_output() for tensor in pixels]
        # Runs on the thread that calls: those of the run's own session may be busy with a step.
        options = tf.RunOptions(inter_op_thread_pool=-1).SerializeToString()
        self._options = pywrap_tensorflow.TF_NewBufferFromString(options)
        self._session = tf.Session(graph=graph)
        self._session._extend_graph()
