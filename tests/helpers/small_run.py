"""A run so small that a test saves and resumes it in milliseconds."""

import functools
import os

import numpy as np
import tensorflow as tf

from mobilenet import checkpoints
from mobilenet.checkpoints import names, position


class Run:
    """Two variables and a step: `save(step)` writes weights that are `step` everywhere."""

    def __init__(self, folder, keep=5, optimizer='Momentum', **kwargs):
        self.folder, self.said = str(folder), []
        os.makedirs(self.folder, exist_ok=True)
        with tf.Graph().as_default() as self.graph:
            make = functools.partial(
                tf.get_variable, initializer=tf.zeros_initializer(), use_resource=True
            )
            self.weights = make('w', [100, 3])
            self.ema = make('w/ExponentialMovingAverage', [100, 3], trainable=False)
            self.slot = make('w/' + optimizer, [100, 3], trainable=False)
            self.step = make('global_step', [], dtype=tf.int64, trainable=False)
            self.skipped = make('skipped_steps', [], dtype=tf.int64, trainable=False)
            kwargs.setdefault('run_id', 'this')
            self.checkpointer = checkpoints.Checkpointer(
                self.folder, keep, say=self.said.append, **kwargs
            )
            self.plain_saver = tf.train.Saver(max_to_keep=5, save_relative_paths=True)
            self.sess = tf.Session()
            self.sess.run(tf.global_variables_initializer())
            self.graph.finalize()

    def save(self, step, facts=True):
        counts = dict.fromkeys(position.COUNTS, step) if facts else None
        for variable in (self.weights, self.ema, self.slot):
            variable.load(np.full([100, 3], step, np.float32), self.sess)
        self.step.load(step, self.sess)
        return self.checkpointer.save(self.sess, step, counts)

    def resume(self, may_lack=False):
        """(step of the name, value of the weights) that it goes on from."""
        path = self.checkpointer.restore(self.sess, may_lack)
        values = self.sess.run([self.weights, self.step])
        assert (values[0] == values[1]).all()
        return names.step_of(path) if path else None, int(values[1])
