"""Programs for tests/mobilenet/devices/test_npu.py: the device on the simulated NPU."""

import os

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from mobilenet.devices import npu
from tests.helpers.npu_cases_common import Counter, options, refused, report, variable

BATCH = 4


def dataset():
    """Batches of 4 images, 8x8, with labels and the number of the batch."""

    def batch(i):
        images = tf.random.stateless_uniform([BATCH, 8, 8, 3], [7, i])
        return images, tf.cast(tf.range(BATCH) + tf.cast(i, tf.int32), tf.int32) % 3, i

    return tf.data.Dataset.range(1000).map(batch)


def conv_net_step(iterator, device, variables):
    """One momentum-free step of a convolution, batch norm, relu6, dense layer; skips overflows."""
    images, labels, _ = iterator.get_next()
    if device is not None:
        overflow = device.overflow_check(None)
        images = overflow.begin(images)
    w, scale, offset, dense, count, loss_sum = variables
    hidden = tf.nn.conv2d(images, w, 2, 'SAME')
    hidden = tf.nn.relu6(tf.nn.fused_batch_norm(hidden, scale, offset)[0] + offset)
    logits = tf.matmul(tf.reduce_mean(hidden, [1, 2]), dense)
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )
    weights = [w, scale, offset, dense]
    if device is None:
        gradients = tf.gradients(loss, weights)
        finite = tf.constant(True)
    else:
        gradients = tf.gradients(loss, weights)
        finite = overflow.all_finite(gradients, [loss])

    def apply():
        with tf.control_dependencies([v.assign_sub(0.5 * g) for v, g in zip(weights, gradients)]):
            return tf.constant(True)

    updated = tf.cond(finite, apply, lambda: tf.constant(False))
    with tf.control_dependencies([updated]):
        return tf.group(count.assign_add(1), loss_sum.assign_add(loss))


def conv_net_variables():
    def make(name, shape, initializer):
        return variable(name, tf.float32, shape, initializer)

    glorot = tf.glorot_uniform_initializer
    return [
        make('w', [3, 3, 3, 8], glorot(seed=1)),
        make('scale', [8], tf.ones_initializer()),
        make('offset', [8], tf.zeros_initializer()),
        make('dense', [8, 3], glorot(seed=2)),
        variable('count'),
        make('loss_sum', [], tf.zeros_initializer()),
    ]


def train(device, loops):
    """Weights after the steps: sunk on the device, or without one, a run a step on the CPU."""
    with tf.Graph().as_default():
        iterator = tf.data.make_initializable_iterator(dataset())
        variables = conv_net_variables()
        reports = []
        with tf.name_scope('model'):
            if device is None:
                step = conv_net_step(iterator, None, variables)
            else:
                loop = device.sink(
                    lambda: conv_net_step(iterator, device, variables),
                    lambda: {'count': variables[-2], 'sum': variables[-1]},
                )
        init = [tf.global_variables_initializer(), iterator.initializer]
        tf.get_default_graph().finalize()
        with device.session(max(loops), 1) if device else tf.Session() as sess:
            sess.run(init)
            for n in loops:
                if device is None:
                    for _ in range(n):
                        sess.run(step)
                else:
                    reports.append(int(loop.run(sess, n)['count']))
            values = sess.run(variables)
        return reports, values


def device_trains():
    """Sunk by 7 and by 1 on the simulated NPU, and by hand on the CPU: the same bits?"""
    device = npu.NpuDevice(options())
    sevens, ones = train(device, [7, 7, 6]), train(device, [1] * 20)
    hand = train(None, [20])
    first = train(None, [1])
    same = [
        all(np.array_equal(a, b) for a, b in zip(hand[1], other[1]))
        for other in (sevens, ones, first)
    ]
    report({'reports': sevens[0], 'equal': same})


def short_loop_first():
    """A run with fewer steps left than one loop: the first loop is the short one."""
    device = npu.NpuDevice(options())
    counter = Counter()
    loop = device.sink(lambda: counter.step, lambda: counter.count)
    with device.session(10, 1) as sess:
        sess.run(counter.init)
        counts = [int(loop.run(sess, n)) for n in (3, 10, 1, 1)]
        too_long = refused(lambda: loop.run(sess, 11))
        too_short = refused(lambda: loop.run(sess, 0))
    with device.session(10, 1) as sess:
        sess.run(counter.init)
        counts.append(int(loop.run(sess, 2)))
    report([counts, too_long, too_short])


def unsunk_loop():
    """iterations_per_loop of 1: no IterationOp is run, and a OneShotIterator is no matter."""
    device = npu.NpuDevice(options())
    counter = Counter(one_shot=True)
    loop = device.sink(lambda: counter.step, lambda: counter.count)
    with device.session(1, 1) as sess:
        sess.run(counter.init)
        report([int(loop.run(sess, 1)) for _ in range(3)])


def wrong_steps():
    device = npu.NpuDevice(options())
    counter = Counter()

    def sink_tensor():
        with tf.Graph().as_default():
            device.sink(lambda: tf.constant(1.0), lambda: [])

    tensor = refused(sink_tensor)
    device.sink(lambda: counter.step, lambda: [])
    report([tensor, refused(lambda: device.sink(lambda: counter.step, lambda: []))])


def other_ranks():
    """The adapter reads RANK_SIZE by itself."""
    device = npu.NpuDevice(options())
    os.environ['RANK_SIZE'] = '2'
    alone = refused(lambda: device.session(1, 1).__enter__())
    os.environ['RANK_SIZE'] = '1'
    with device.session(1, 1) as sess:
        report([alone, int(sess.run(tf.constant(3)))])


def device_config():
    device = npu.NpuDevice(
        options(
            '--npu_hcom_parallel',
            '--npu_enable_dump=true',
            '--npu_dump_path',
            '/tmp',
            '--npu_dump_step=0|5',
            '--npu_session_device_id=3',
            precision_mode='auto',
        )
    )
    cfg = device.session_config(100)
    rewrite = cfg.graph_options.rewrite_options
    (optimizer,) = rewrite.custom_optimizers
    parameters = {}
    for key, attr in optimizer.parameter_map.items():
        value = getattr(attr, attr.WhichOneof('value'))
        parameters[key] = value.decode() if isinstance(value, bytes) else value
    report(
        {
            'name': optimizer.name,
            'parameters': parameters,
            'soft': cfg.allow_soft_placement,
            'off': [
                rewrite.remapping == RewriterConfig.OFF,
                rewrite.memory_optimization == RewriterConfig.OFF,
            ],
            'plain': npu.NpuDevice(options(precision_mode='auto'))
            .session_config(1)
            .graph_options.rewrite_options.custom_optimizers[0]
            .parameter_map['precision_mode']
            .s.decode(),
        }
    )


def device_overflow():
    """A step whose third of five overflows: all but it update."""
    device = npu.NpuDevice(options())
    iterator = tf.data.make_initializable_iterator(tf.data.Dataset.range(100))
    updates, skips = variable('updates'), variable('skips')

    def step():
        check = device.overflow_check(None)
        number = check.begin(iterator.get_next())
        factor = tf.where(tf.equal(number, 2), 1e30, 1.0)
        gradient = tf.cast(tf.cast(factor, tf.float16), tf.float32)  # 1e30 is too much for float16
        finite = tf.cast(check.all_finite([gradient], []), tf.int64)
        return tf.group(updates.assign_add(finite), skips.assign_add(1 - finite))

    loop = device.sink(step, lambda: [updates, skips])
    with device.session(5, 1) as sess:
        sess.run([tf.global_variables_initializer(), iterator.initializer])
        report(loop.run(sess, 5))
