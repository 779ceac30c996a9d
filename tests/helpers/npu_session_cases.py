"""Programs on the simulated NPU for tests/mobilenet/devices/test_npu_sim.py: configurations, HCCL,
float status.
"""

import os

from npu_bridge.estimator import npu_ops
from npu_bridge.estimator.npu import npu_scope
from npu_bridge.hccl import hccl_ops
from npu_bridge.helper import helper
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from tests.helpers.npu_cases_common import config, refused, report


def _open(cfg):
    tf.constant(1, name='one')
    with tf.Session(config=cfg) as sess:
        report(sess.run('one:0'))


def every_key():
    _open(
        config(
            10,
            precision_mode='allow_mix_precision',
            hcom_parallel=True,
            graph_run_mode=1,
            mix_compile_mode=False,
            enable_dump=True,
            dump_path='/tmp',
            dump_step='0|5|7-10',
            dump_mode='all',
            enable_dump_debug=False,
            profiling_mode=False,
            profiling_options='{"output": "/tmp"}',
            op_debug_level=0,
            enable_exception_dump=1,
            op_select_implmode='high_precision',
            variable_memory_max_size='31*1024*1024*1024',
            graph_memory_max_size='1024',
            session_device_id=0,
            hcom_multi_mode=False,
            op_compiler_cache_mode='enable',
            op_compiler_cache_dir='/tmp',
            is_tailing_optimization=True,
        )
    )


def no_npu_optimizer():
    _open(tf.ConfigProto())


def taken_in_silence():
    """What the adapter does not check, or does not know."""
    _open(config(precision='allow_mix_precision', enable_profiling=True))
    tf.reset_default_graph()
    _open(config(2, enable_dump=True, enable_dump_debug=True, dump_path='/tmp'))
    tf.reset_default_graph()
    _open(config(2, mix_compile_mode=True))
    tf.reset_default_graph()
    _open(config(2, enable_data_pre_proc=None))


def errors_of_a_run():
    """{changes to the configuration: what the first run raises}."""
    sets = '|'.join(str(i) for i in range(101))
    dump = {'enable_dump': True, 'dump_path': '/tmp'}
    cases = {
        'precision_mode': {'precision_mode': 'float16'},
        'no dump_path': {'enable_dump': True},
        'dump_path': {'enable_dump_debug': True, 'dump_path': '/no/such/folder'},
        'dump_step': dict(dump, dump_step='1,2'),
        'falling': dict(dump, dump_step='5-3'),
        'sets': dict(dump, dump_step=sets),
    }
    one = tf.constant(1)
    raised = {}
    for name, changes in cases.items():
        with tf.Session(config=config(**changes)) as sess:
            try:
                sess.run(one)
            except tf.errors.InternalError as error:
                raised[name] = error.message
    report(raised)


def graph_run_mode_2():
    _open(config(graph_run_mode=2))


def no_iterations():
    _open(config(0))


def wrong_implmode():
    _open(config(op_select_implmode='fast'))


def negative_device():
    _open(config(session_device_id=-1))


def wrong_dump_mode():
    _open(config(enable_dump=True, dump_path='/tmp', dump_mode='inputs'))


def remapping_on():
    cfg = config()
    cfg.graph_options.rewrite_options.remapping = RewriterConfig.DEFAULT
    _open(cfg)


def memory_optimization_on():
    cfg = config()
    cfg.graph_options.rewrite_options.memory_optimization = RewriterConfig.DEFAULT
    _open(cfg)


# ---- HCCL on one rank, and what it refuses ----


def _on_an_old_adapter(call):
    os.environ['NPU_SIM_ADAPTER'] = 'old'
    try:
        return refused(call)
    finally:
        del os.environ['NPU_SIM_ADAPTER']


def wrong_collectives():
    x = tf.zeros([4])
    report(
        {
            'int64': _on_an_old_adapter(lambda: hccl_ops.allreduce(tf.zeros([2], tf.int64), 'sum')),
            'bool': refused(lambda: hccl_ops.allreduce(tf.zeros([2], tf.bool), 'max')),
            'float64': refused(lambda: hccl_ops.reduce(tf.zeros([2], tf.float64), 'sum', 0)),
            'mean': refused(lambda: hccl_ops.allreduce(x, 'mean')),
            'fusion': refused(lambda: hccl_ops.allreduce(x, 'sum', fusion=3)),
            'fusion_id': refused(lambda: hccl_ops.allreduce(x, 'sum', fusion=2)),
            'no_list': refused(lambda: hccl_ops.broadcast(x, 0)),
            'root': refused(lambda: hccl_ops.broadcast([x], 1)),
            'group': refused(lambda: hccl_ops.allreduce(x, 'sum', group='mine')),
            'rank_size': refused(lambda: hccl_ops.allgather(x, 2)),
            'dynamic': refused(
                lambda: hccl_ops.allreduce(tf.placeholder(tf.float32, [None]), 'sum')
            ),
        }
    )


def one_rank():
    from hccl.manage import api
    from hccl.split import api as split

    x = tf.constant([1.0, 2.0])
    results = [
        hccl_ops.allreduce(x, 'sum'),
        hccl_ops.broadcast([x], 0)[0],
        hccl_ops.allgather(x, 1),
    ]
    start, stop = npu_ops.initialize_system(), npu_ops.shutdown_system()
    before = [refused(api.get_rank_size), refused(lambda: split.set_split_strategy_by_idx([1]))]
    with tf.Session(config=config()) as sess:
        sess.run(start)
        during = [api.get_rank_size(), api.get_rank_id(), api.get_local_rank_size()]
        api.create_group('alone', 1, [0])
        during += [api.get_rank_size('alone'), refused(lambda: api.create_group('two', 2, [0, 1]))]
        api.destroy_group('alone')
        during += [refused(lambda: api.get_rank_id('alone'))]
        values = sess.run(results)
        sess.run(stop)
        after = [refused(api.get_rank_id)]
        sess.run(start)
    after += [refused(api.get_rank_id)]  # HCCL ends with its session
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
    os.environ['NPU_SIM_OVERFLOW'] = 'saturate'
    x = tf.placeholder(tf.float32, [3])
    clean = _status_after(x * 2.0)
    half = _status_after(tf.cast(tf.cast(x, tf.float16) * 2.0, tf.float32))
    cases = {
        'finite': [1, 2, 3],
        'inf': [1, np.inf, 3],
        'nan': [np.nan, 0, 0],
        'overflow': [3e38, 0, 0],
        'float16': [4e4, 0, 0],
    }
    with tf.Session(config=config()) as sess:
        results = {k: sess.run([clean, half], {x: v}) for k, v in cases.items()}
        results['finite again'] = sess.run([clean, half], {x: [1, 2, 3]})
    report(results)


def register_stays_without_clear():
    os.environ['NPU_SIM_OVERFLOW'] = 'saturate'
    x = tf.placeholder(tf.float32, [3])
    finite = _status_after(x * 2.0, clear=False)
    cleared = _status_after(x * 2.0)
    with tf.Session(config=config()) as sess:
        report(
            [
                sess.run(t, {x: v})
                for t, v in (
                    (finite, [1, 1, 1]),
                    (finite, [np.nan, 1, 1]),
                    (finite, [1, 1, 1]),
                    (cleared, [1, 1, 1]),
                    (finite, [1, 1, 1]),
                )
            ]
        )
