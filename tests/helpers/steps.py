"""A training step of a small network, and the settings it and the tests of its parts are built
with.
"""

import types

import numpy as np
import tensorflow as tf

from hccl import collectives
from mobilenet import state as run_state
from mobilenet import train_step
from mobilenet.devices import host


def settings(**changes):
    config = {
        'model_name': 'mobilenet_v1_025',
        'num_classes': 7,
        'float16': False,
        'dropout': False,
        'seed': 0,
        'label_smoothing': 0.1,
        'weight_decay': 0.01,
        'optimizer': 'momentum',
        'momentum': 0.9,
        'learning_rate': 0.1,
        'learning_rate_decay_type': 'fixed',
        'learning_rate_decay_factor': 0.94,
        'end_learning_rate': 0.001,
        'total_steps': 100,
        'warmup_steps': 0,
        'decay_steps': 10,
        'dynamic_loss_scale': False,
        'moving_average_decay': 0.99,
        'trainable_scopes': [],
        'head_lr_factor': 1.0,
        'trusted_updates': 0.0,
        'stop_on_nan': True,
        'opt_epsilon': 0.1,
        'rmsprop_momentum': 0.8,
        'rmsprop_decay': 0.7,
        'adam_beta1': 0.9,
        'adam_beta2': 0.99,
        'adagrad_initial_accumulator_value': 0.1,
        'adadelta_rho': 0.9,
        'ftrl_learning_rate_power': -0.5,
        'ftrl_initial_accumulator_value': 0.1,
        'ftrl_l1': 0.0,
        'ftrl_l2': 0.0,
    }
    config.update(changes)
    return types.SimpleNamespace(**config)


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


class BuiltStep:
    """The graph of a step of a small network."""

    def __init__(self, config, scale=1.0):
        rng = np.random.RandomState(0)
        self.images = rng.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
        self.labels = rng.randint(0, 7, 4).astype(np.int32)
        tf.set_random_seed(3)
        self.state = run_state.create(scale, 1)
        self.feed = tf.placeholder(tf.float32, [4, 32, 32, 3])
        self.step = train_step.build(
            self.feed,
            tf.constant(self.labels),
            config,
            self.state,
            host.HostDevice(),
            collectives.SingleRank(),
        )


class StepRun(BuiltStep):
    """Steps run one by one outside any loop, with everything in them to be fetched."""

    def __init__(self, config, scale=1.0):
        super().__init__(config, scale)
        self._initialize = [tf.global_variables_initializer(), tf.local_variables_initializer()]
        self.sess = tf.Session()
        self.begin()

    def begin(self):
        """The first values of all variables again."""
        self.sess.run(self._initialize)

    def values(self):
        return {v.op.name: v for v in tf.global_variables()}

    def read(self):
        return dict(zip(self.values(), self.sess.run(list(self.values().values()))))

    def run(self, fetches=(), images=None):
        return self.sess.run(
            [fetches, self.step.train_op], {self.feed: self.images if images is None else images}
        )[0]
