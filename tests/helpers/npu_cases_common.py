"""What the small programs on the simulated NPU share (npu_loop_cases.py and the others)."""

import argparse
import json

from npu_bridge.estimator.npu import util
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from mobilenet.devices import npu, npu_options
from mobilenet.errors import UsageError

tf.logging.set_verbosity(tf.logging.ERROR)


def report(value):
    print(json.dumps(value, default=lambda v: v.tolist()))


def options(*flags, precision_mode='must_keep_origin_dtype'):
    """NpuOptions of flags; by default in float32, to be compared with a host."""
    parser = argparse.ArgumentParser()
    npu_options.add_flags(parser)
    args = parser.parse_args(flags)
    args.precision_mode = precision_mode
    return npu_options.from_flags(args)


def config(iterations=1, **changes):
    """A configuration as the guides write it; a change to None leaves a key out."""
    result = tf.ConfigProto(allow_soft_placement=True)
    rewrite = result.graph_options.rewrite_options
    rewrite.remapping = rewrite.memory_optimization = RewriterConfig.OFF
    optimizer = rewrite.custom_optimizers.add()
    optimizer.name = 'NpuOptimizer'
    values = {'use_off_line': True, 'enable_data_pre_proc': True, 'iterations_per_loop': iterations}
    values.update(changes)
    for key, value in values.items():
        if value is not None:
            npu._set_parameter(optimizer.parameter_map[key], value)
    return result


def variable(name, dtype=tf.int64, shape=(), initializer=None):
    return tf.get_variable(
        name,
        shape,
        dtype,
        initializer or tf.zeros_initializer(),
        trainable=False,
        use_resource=True,
    )


class Counter:
    """A step that counts itself and sums up the numbers of the batches it took."""

    def __init__(self, data=None, one_shot=False):
        data = data or tf.data.Dataset.range(1000)
        make = tf.data.make_one_shot_iterator if one_shot else tf.data.make_initializable_iterator
        self.iterator = make(data)
        self.count, self.total = variable('count'), variable('total')
        self.number = self.iterator.get_next()
        self.step = tf.group(self.count.assign_add(1), self.total.assign_add(self.number))
        with tf.control_dependencies([self.step]):
            self.values = [
                self.count.read_value(),
                self.total.read_value(),
                tf.identity(self.number),
            ]
        self.init = [tf.global_variables_initializer()]
        if not one_shot:
            self.init.append(self.iterator.initializer)


def run_counter(counter, iterations, loads, cfg, feed=None):
    """Loads and runs one after another; gives the values of each run."""
    loop = util.IterationPerLoop()
    op = loop.create_iteration_per_loop_var(counter.step)
    results = []
    with tf.Session(config=cfg) as sess:
        sess.run(counter.init)
        for n in loads:
            loop.load_iteration_per_loop_var(sess, n)
            results.append(sess.run([counter.values, op], feed)[0])
    return results


def refused(call):
    """The error of a call as text, or None."""
    try:
        call()
    except (TypeError, ValueError, RuntimeError, UsageError) as e:
        return type(e).__name__ + ': ' + str(e)
    return None
