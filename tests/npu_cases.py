"""Small programs on the simulated NPU; tests/test_npu_sim.py and test_npu_device.py run them.

Each builds its own graph, as a user of the adapter would, and prints what it saw as JSON.
"""

import argparse
import json

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from mobilenet.devices import npu, npu_options
from npu_bridge.estimator import npu_ops
from npu_bridge.estimator.npu import npu_scope, util
from npu_bridge.hccl import hccl_ops
from npu_bridge.helper import helper

tf.logging.set_verbosity(tf.logging.ERROR)
BATCH = 4


def report(value):
    print(json.dumps(value, default=lambda v: v.tolist()))


def options(*flags):
    parser = argparse.ArgumentParser()
    npu_options.add_flags(parser)
    return npu_options.from_flags(parser.parse_args(flags))


def config(iterations=1, **changes):
    """A configuration as the guides write it; a change to None leaves a key out."""
    result = tf.ConfigProto(allow_soft_placement=True)
    rewrite = result.graph_options.rewrite_options
    rewrite.remapping = rewrite.memory_optimization = RewriterConfig.OFF
    optimizer = rewrite.custom_optimizers.add()
    optimizer.name = 'NpuOptimizer'
    values = dict(use_off_line=True, enable_data_pre_proc=True, iterations_per_loop=iterations)
    values.update(changes)
    for key, value in values.items():
        if value is not None:
            npu._set_parameter(optimizer.parameter_map[key], value)
    return result


def variable(name, dtype=tf.int64, shape=(), initializer=None):
    return tf.get_variable(name, shape, dtype, initializer or tf.zeros_initializer(),
                           trainable=False, use_resource=True)


def dataset():
    """Batches of 4 images, 8x8, with labels and the number of the batch."""
    def batch(i):
        images = tf.random.stateless_uniform([BATCH, 8, 8, 3], [7, i])
        return images, tf.cast(tf.range(BATCH) + tf.cast(i, tf.int32), tf.int32) % 3, i
    return tf.data.Dataset.range(1000).map(batch)


class Counter:
    """A step that counts itself and sums up the numbers of the batches it took."""

    def __init__(self, data=None, one_shot=False):
        data = data or tf.data.Dataset.range(1000)
        self.make = tf.data.make_one_shot_iterator if one_shot else tf.data.make_initializable_iterator
        self.iterator = self.make(data)
        self.count, self.total = variable('count'), variable('total')
        self.number = self.iterator.get_next()
        self.step = tf.group(self.count.assign_add(1), self.total.assign_add(self.number))
        with tf.control_dependencies([self.step]):
            self.values = [self.count.read_value(), self.total.read_value(),
                           tf.identity(self.number)]
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


# ---- loops ----

def loops_run():
    """A whole loop twice, then a shorter one."""
    report(run_counter(Counter(), 5, [5, 5, 3], config(5)))


def loop_by_name():
    counter = Counter()
    loop = util.IterationPerLoop()
    loop.create_iteration_per_loop_var(counter.step)
    with tf.Session(config=config(3)) as sess:
        sess.run(counter.init)
        loop.load_iteration_per_loop_var(sess, 3)
        report(sess.run(['IterationOp', counter.values])[1])


def set_iteration_per_loop():
    counter = Counter()
    with tf.Session(config=config(4)) as sess:
        sess.run(counter.init)
        op = util.set_iteration_per_loop(sess, counter.step, 4)
        sess.run(op)
        report([sess.run(counter.count), op.name,
                util.set_iteration_per_loop(sess, counter.step, 1) is counter.step])


def variables_of_the_loop():
    util.IterationPerLoop().create_iteration_per_loop_var(tf.no_op())
    report(sorted((v.op.name, v.dtype.name) for v in tf.local_variables()))


def end_of_data_inside_a_loop():
    counter = Counter(tf.data.Dataset.range(7))
    try:
        run_counter(counter, 5, [5, 5], config(5))
    except tf.errors.OutOfRangeError:
        report('OutOfRange')


def tensor_as_train_op():
    try:
        util.IterationPerLoop().create_iteration_per_loop_var(tf.constant(1.0))
    except ValueError as e:
        report(str(e))


def one_shot_alone():
    report(run_counter(Counter(one_shot=True), 1, [1], config(1)))


def one_shot_sunk():
    run_counter(Counter(one_shot=True), 2, [2], config(2))


def wrapper_in_a_scope():
    counter = Counter()
    with tf.name_scope('train'):
        run_counter(counter, 2, [2], config(2))


def two_wrappers():
    counter = Counter()
    util.IterationPerLoop().create_iteration_per_loop_var(tf.no_op())
    # The second is named IterationOp_1: neither it nor the first may run.
    with tf.Session(config=config(2)) as sess:
        loop = util.IterationPerLoop()
        loop.create_iteration_per_loop_var(counter.step)
        loop.load_iteration_per_loop_var(sess, 2)
        sess.run('IterationOp')


def loaded_other_than_configured():
    run_counter(Counter(), 5, [4], config(5))


def reloaded_above_configured():
    run_counter(Counter(), 5, [5, 6], config(5))


def not_loaded():
    counter = Counter()
    op = util.IterationPerLoop().create_iteration_per_loop_var(counter.step)
    with tf.Session(config=config(5)) as sess:
        sess.run(counter.init)
        sess.run(op)


def overwritten_after_load():
    counter = Counter()
    loop = util.IterationPerLoop()
    op = loop.create_iteration_per_loop_var(counter.step)
    with tf.Session(config=config(5)) as sess:
        sess.run(counter.init)
        loop.load_iteration_per_loop_var(sess, 5)
        sess.run(tf.local_variables_initializer())
        sess.run(op)


def fed_while_sunk():
    counter = Counter()
    run_counter(counter, 2, [2], config(2), feed={counter.number: 3})


def last_batch_shorter():
    run_counter(Counter(tf.data.Dataset.range(10).batch(4).map(lambda x: x[0])), 2, [2], config(2))
    tf.reset_default_graph()
    data = tf.data.Dataset.range(10).batch(4)
    batch = tf.data.make_initializable_iterator(data).get_next()
    with tf.Session(config=config()) as sess:
        sess.run(tf.reduce_sum(batch))


def dynamic_inside():
    counter = Counter()
    kept = tf.boolean_mask(tf.range(4), tf.equal(tf.range(4) % 2, 0))
    counter.step = tf.group(counter.step, kept)
    run_counter(counter, 2, [2], config(2))


def while_around_get_next():
    iterator = tf.data.make_initializable_iterator(tf.data.Dataset.range(100))
    total = tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s + iterator.get_next()),
                          [tf.constant(0), tf.constant(0, tf.int64)])[1]
    with tf.Session(config=config()) as sess:
        sess.run(iterator.initializer)
        sess.run(total)


def while_without_get_next():
    with tf.Session(config=config()) as sess:
        report(sess.run(tf.while_loop(lambda i: i < 3, lambda i: i + 1, [tf.constant(0)])))


# ---- configurations ----

def _open(cfg):
    tf.constant(1, name='one')
    with tf.Session(config=cfg) as sess:
        report(sess.run('one:0'))


def every_key():
    _open(config(
        10, precision_mode='allow_mix_precision', hcom_parallel=True, graph_run_mode=1,
        mix_compile_mode=False, enable_dump=True, dump_path='/tmp', dump_step='0|5|7-10',
        dump_mode='all', enable_dump_debug=False, profiling_mode=False,
        profiling_options='{"output": "/tmp"}', op_debug_level=0, enable_exception_dump=1,
        op_select_implmode='high_precision', variable_memory_max_size='31*1024*1024*1024',
        graph_memory_max_size='1024', session_device_id=0, hcom_multi_mode=False,
        op_compiler_cache_mode='enable', op_compiler_cache_dir='/tmp',
        is_tailing_optimization=True))


def no_npu_optimizer():
    _open(tf.ConfigProto())


def unknown_key():
    _open(config(precision='allow_mix_precision'))


def key_of_another_type():
    _open(config(iterations_per_loop='10'))


def wrong_precision_mode():
    _open(config(precision_mode='float16'))


def dump_path_missing():
    _open(config(enable_dump=True))


def dump_path_not_there():
    _open(config(enable_dump=True, dump_path='/no/such/folder'))


def both_dumps():
    _open(config(enable_dump=True, enable_dump_debug=True, dump_path='/tmp'))


def dump_step_malformed():
    _open(config(enable_dump=True, dump_path='/tmp', dump_step='1,2'))


def dump_step_falling():
    _open(config(enable_dump=True, dump_path='/tmp', dump_step='5-3'))


def sunk_without_data_pre_proc():
    _open(config(2, enable_data_pre_proc=None))


def sunk_and_mix_compile():
    _open(config(2, mix_compile_mode=True))


def remapping_on():
    cfg = config()
    cfg.graph_options.rewrite_options.remapping = RewriterConfig.DEFAULT
    _open(cfg)


def memory_optimization_on():
    cfg = config()
    cfg.graph_options.rewrite_options.memory_optimization = RewriterConfig.DEFAULT
    _open(cfg)


# ---- HCCL on one rank, and what it refuses ----

def _refused(call):
    try:
        call()
    except (TypeError, ValueError, RuntimeError) as e:
        return type(e).__name__ + ': ' + str(e)
    return None


def wrong_collectives():
    x = tf.zeros([4])
    report({
        'int64': _refused(lambda: hccl_ops.allreduce(tf.zeros([2], tf.int64), 'sum')),
        'bool': _refused(lambda: hccl_ops.allreduce(tf.zeros([2], tf.bool), 'max')),
        'float64': _refused(lambda: hccl_ops.reduce(tf.zeros([2], tf.float64), 'sum', 0)),
        'mean': _refused(lambda: hccl_ops.allreduce(x, 'mean')),
        'fusion': _refused(lambda: hccl_ops.allreduce(x, 'sum', fusion=3)),
        'fusion_id': _refused(lambda: hccl_ops.allreduce(x, 'sum', fusion=2)),
        'no_list': _refused(lambda: hccl_ops.broadcast(x, 0)),
        'root': _refused(lambda: hccl_ops.broadcast([x], 1)),
        'group': _refused(lambda: hccl_ops.allreduce(x, 'sum', group='mine')),
        'rank_size': _refused(lambda: hccl_ops.allgather(x, 2)),
        'dynamic': _refused(lambda: hccl_ops.allreduce(tf.placeholder(tf.float32, [None]), 'sum')),
    })


def one_rank():
    from hccl.manage import api
    from hccl.split import api as split
    x = tf.constant([1.0, 2.0])
    results = [hccl_ops.allreduce(x, 'sum'), hccl_ops.broadcast([x], 0)[0], hccl_ops.allgather(x, 1)]
    start, stop = npu_ops.initialize_system(), npu_ops.shutdown_system()
    before = [_refused(api.get_rank_size), _refused(lambda: split.set_split_strategy_by_idx([1]))]
    with tf.Session(config=config()) as sess:
        sess.run(start)
        during = [api.get_rank_size(), api.get_rank_id(), api.get_local_rank_size()]
        api.create_group('alone', 1, [0])
        during += [api.get_rank_size('alone'), _refused(lambda: api.create_group('two', 2, [0, 1]))]
        api.destroy_group('alone')
        during += [_refused(lambda: api.get_rank_id('alone'))]
        values = sess.run(results)
        sess.run(stop)
        after = [_refused(api.get_rank_id)]
        sess.run(start)
    after += [_refused(api.get_rank_id)]  # HCCL ends with its session
    report({'before': before, 'during': during, 'after': after, 'values': values})


def collective_off_the_npu():
    with tf.Session() as sess:
        sess.run(hccl_ops.allreduce(tf.zeros([2]), 'sum'))


def scopes():
    with npu_scope.keep_dtype_scope():
        kept = tf.constant(1.0).op
    with npu_scope.without_npu_compile_scope():
        host = tf.constant(1.0).op
    report([kept.get_attr('_keep_dtype'), host.get_attr('_without_npu_compile')])


# ---- float status ----

def _status_after(gradient, clear=True):
    """(status, cleared) tensors as the guides use them."""
    ops = helper.get_gen_ops()
    status = ops.npu_alloc_float_status()
    with tf.control_dependencies([gradient]):
        filled = ops.npu_get_float_status(status)
    if clear:
        cleared = ops.npu_clear_float_status(filled)
    else:
        with tf.control_dependencies([filled]):
            cleared = tf.zeros([1])
    with tf.control_dependencies([filled, cleared]):
        return tf.identity(tf.reduce_all(tf.equal(status, cleared)))


def float_status():
    x = tf.placeholder(tf.float32, [3])
    clean = _status_after(x * 2.0)
    half = _status_after(tf.cast(tf.cast(x, tf.float16) * 2.0, tf.float32))
    cases = {'finite': [1, 2, 3], 'inf': [1, np.inf, 3], 'nan': [np.nan, 0, 0],
             'overflow': [3e38, 0, 0], 'float16': [4e4, 0, 0]}
    with tf.Session(config=config()) as sess:
        results = {k: sess.run([clean, half], {x: v}) for k, v in cases.items()}
        results['finite again'] = sess.run([clean, half], {x: [1, 2, 3]})
    report(results)


def register_stays_without_clear():
    x = tf.placeholder(tf.float32, [3])
    finite = _status_after(x * 2.0, clear=False)
    cleared = _status_after(x * 2.0)
    with tf.Session(config=config()) as sess:
        report([sess.run(t, {x: v}) for t, v in (
            (finite, [1, 1, 1]), (finite, [np.nan, 1, 1]), (finite, [1, 1, 1]),
            (cleared, [1, 1, 1]), (finite, [1, 1, 1]))])


# ---- the device module ----

def conv_net_step(iterator, device, variables):
    """One momentum-free step of a convolution, batch norm, relu6, dense layer; skips overflows."""
    images, labels, _ = iterator.get_next()
    w, scale, offset, dense, count, loss_sum = variables
    hidden = tf.nn.conv2d(images, w, 2, 'SAME')
    hidden = tf.nn.relu6(tf.nn.fused_batch_norm(hidden, scale, offset)[0] + offset)
    logits = tf.matmul(tf.reduce_mean(hidden, [1, 2]), dense)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    weights = [w, scale, offset, dense]
    if device is None:
        gradients = tf.gradients(loss, weights)
        finite = tf.constant(True)
    else:
        status = device.overflow_check(None)
        status.begin()
        gradients = tf.gradients(loss, weights)
        finite = status.all_finite(gradients, gradients)

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
    return [make('w', [3, 3, 3, 8], glorot(seed=1)), make('scale', [8], tf.ones_initializer()),
            make('offset', [8], tf.zeros_initializer()), make('dense', [8, 3], glorot(seed=2)),
            variable('count'), make('loss_sum', [], tf.zeros_initializer())]


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
                loop = device.sink(lambda: conv_net_step(iterator, device, variables),
                                   lambda: {'count': variables[-2], 'sum': variables[-1]})
        init = [tf.global_variables_initializer(), iterator.initializer]
        tf.get_default_graph().finalize()
        cfg = tf.ConfigProto() if device is None else device.session_config(max(loops), 1)
        with tf.Session(config=cfg) as sess:
            if device is not None:
                device.initialize(sess)
            sess.run(init)
            for n in loops:
                if device is None:
                    for _ in range(n):
                        sess.run(step)
                else:
                    reports.append(int(loop.run(sess, n)['count']))
            values = sess.run(variables)
            if device is not None:
                device.shutdown(sess)
        return reports, values


def device_trains():
    """Sunk by 7 and by 1 on the simulated NPU, and by hand on the CPU: the same bits?"""
    device = npu.NpuDevice(options())
    sevens, ones = train(device, [7, 7, 6]), train(device, [1] * 20)
    hand = train(None, [20])
    first = train(None, [1])
    same = [all(np.array_equal(a, b) for a, b in zip(hand[1], other[1]))
            for other in (sevens, ones, first)]
    report({'reports': sevens[0], 'equal': same})


def short_loop_first():
    """A run with fewer steps left than one loop: the first loop is the short one."""
    device = npu.NpuDevice(options())
    counter = Counter()
    loop = device.sink(lambda: counter.step, lambda: counter.count)
    with tf.Session(config=device.session_config(10, 1)) as sess:
        sess.run(counter.init)
        counts = [int(loop.run(sess, n)) for n in (3, 10, 1, 1)]
        refused = _refused(lambda: loop.run(sess, 11))
        refused_zero = _refused(lambda: loop.run(sess, 0))
    with tf.Session(config=device.session_config(10, 1)) as sess:
        sess.run(counter.init)
        counts.append(int(loop.run(sess, 2)))
    report([counts, refused, refused_zero])


def unsunk_loop():
    """iterations_per_loop of 1: no IterationOp is run, and a OneShotIterator is no matter."""
    device = npu.NpuDevice(options())
    counter = Counter(one_shot=True)
    loop = device.sink(lambda: counter.step, lambda: counter.count)
    with tf.Session(config=device.session_config(1, 1)) as sess:
        sess.run(counter.init)
        report([int(loop.run(sess, 1)) for _ in range(3)])


def wrong_steps():
    device = npu.NpuDevice(options())
    counter = Counter()

    def sink_tensor():
        with tf.Graph().as_default():
            device.sink(lambda: tf.constant(1.0), lambda: [])

    tensor = _refused(sink_tensor)
    device.sink(lambda: counter.step, lambda: [])
    report([tensor, _refused(lambda: device.sink(lambda: counter.step, lambda: []))])


def device_config():
    device = npu.NpuDevice(options(
        '--npu_hcom_parallel', '--npu_enable_dump=true', '--npu_dump_path', '/tmp',
        '--npu_dump_step=0|5', '--npu_session_device_id=3'))
    cfg = device.session_config(100, 8)
    rewrite = cfg.graph_options.rewrite_options
    optimizer, = rewrite.custom_optimizers
    parameters = {}
    for key, attr in optimizer.parameter_map.items():
        value = getattr(attr, attr.WhichOneof('value'))
        parameters[key] = value.decode() if isinstance(value, bytes) else value
    report({'name': optimizer.name, 'parameters': parameters, 'soft': cfg.allow_soft_placement,
            'off': [rewrite.remapping == RewriterConfig.OFF,
                    rewrite.memory_optimization == RewriterConfig.OFF],
            'plain': npu.NpuDevice(options()).session_config(1, 1).graph_options.rewrite_options
                     .custom_optimizers[0].parameter_map['precision_mode'].s.decode()})


def device_overflow():
    """A step whose third of five overflows: all but it update."""
    device = npu.NpuDevice(options())
    iterator = tf.data.make_initializable_iterator(tf.data.Dataset.range(100))
    updates, skips = variable('updates'), variable('skips')

    def step():
        factor = tf.where(tf.equal(iterator.get_next(), 2), 1e30, 1.0)
        check = device.overflow_check(None)
        check.begin()
        gradient = tf.cast(tf.cast(factor, tf.float16), tf.float32)  # 1e30 is too much for float16
        finite = tf.cast(check.all_finite([gradient], []), tf.int64)
        return tf.group(updates.assign_add(finite), skips.assign_add(1 - finite))
    loop = device.sink(step, lambda: [updates, skips])
    with tf.Session(config=device.session_config(5, 1)) as sess:
        sess.run([tf.global_variables_initializer(), iterator.initializer])
        report(loop.run(sess, 5))


def global_step_not_in_its_collection():
    """As the adapter: tf.train.get_global_step does not take the handle of a resource variable."""
    variable('global_step')
    report(_refused(lambda: util.IterationPerLoop().create_iteration_per_loop_var(tf.no_op())))
