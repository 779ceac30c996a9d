"""Training steps of a small network on any device, with a batch among them that overflows."""

import os

import numpy as np
import tensorflow as tf

from mobilenet import state as run_state
from mobilenet import train_step
from mobilenet.devices import npu, npu_options
from mobilenet.nets import mobilenet_v1
from tests.helpers import steps
from tests.helpers.npu_case_server import MODES  # noqa: F401

# Beside V1: relu6 and residuals; squeeze and excite, hard swish.
OTHER_NETWORKS = ('mobilenet_v2_035', 'mobilenet_v3_small')
BAD = 2  # the number of the batch that overflows


def settings(**changes):
    """A step that skips what overflows, with a dynamic loss scale and weight averages."""
    return steps.settings(**dict({'stop_on_nan': False, 'dynamic_loss_scale': True}, **changes))


def shorten_v1():
    """V1 without its later layers, of the kinds of the first: for what is about the step."""
    mobilenet_v1._SEPARABLE_LAYERS = mobilenet_v1._SEPARABLE_LAYERS[:2]


def choose(mode, adapter):
    """The simulated device from here on: NPU_SIM_OVERFLOW, NPU_SIM_ADAPTER."""
    os.environ.update(NPU_SIM_OVERFLOW=mode, NPU_SIM_ADAPTER=adapter)


def device(precision_mode='must_keep_origin_dtype'):
    return npu.NpuDevice(npu_options.NpuOptions({'precision_mode': precision_mode}, None, False))


def input_batches(factor, rank=0):
    """Batches of 4 small images; number BAD's images are `factor` times as bright."""

    def batch(number):
        images = tf.random.stateless_uniform([4, 32, 32, 3], [rank, number], -1.0, 1.0)
        images *= tf.where(tf.equal(number, BAD), factor, 1.0)
        return images, (tf.range(4) + tf.cast(number, tf.int32)) % 7

    return tf.data.make_initializable_iterator(tf.data.Dataset.range(1000).map(batch))


class Steps:
    """A sunk step in the default graph, and its session; use it as a context."""

    def __init__(self, device, hp, collectives, factor=1e30, scale=1024.0, longest=4):
        tf.set_random_seed(3)
        iterator = input_batches(factor, collectives.rank)
        state = run_state.create(scale, collectives.size)

        def build():
            images, labels = iterator.get_next()
            self.step = train_step.build(images, labels, hp, state, device, collectives)
            return self.step.train_op

        self.loop = device.sink(build, state.values)
        self.variables = {v.op.name: v for v in tf.global_variables()}
        start = [tf.global_variables_initializer(), tf.local_variables_initializer()]
        self._session = device.session(longest, collectives.size)
        self._start = [start, iterator.initializer]

    def __enter__(self):
        self.sess = self._session.__enter__()
        for ops in self._start:
            self.sess.run(ops)
        return self

    def __exit__(self, *error):
        return self._session.__exit__(*error)

    def run(self, n):
        """n steps in one loop; gives what the loop reports."""
        return self.loop.run(self.sess, n)

    def read(self):
        return self.sess.run(self.variables)


def changed(before, after):
    """Names of the variables that are not the same to the bit."""
    return sorted(
        name
        for name, value in before.items()
        if np.asarray(value).tobytes() != np.asarray(after[name]).tobytes()
    )


def around_the_bad_step(run):
    """What changed in a good step, in the bad one and in the one after it; and the report."""
    seen = [run.read()]
    for n in (BAD, 1, 1):
        report = run.run(n)
        seen.append(run.read())
    return [changed(a, b) for a, b in zip(seen, seen[1:])], {
        k: np.asarray(v).tolist() for k, v in report.items()
    }
