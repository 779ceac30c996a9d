"""One rank of the simulated NPU: what tests/mobilenet/devices/test_npu_sim_ranks.py starts twice.

Writes what the rank got from every collective to the .npz named by the first argument.
"""

import json
import sys

import numpy as np
import tensorflow as tf

from mobilenet.devices import npu, npu_options
from tests.helpers import npu_steps


def build(rank):
    from npu_bridge.hccl import hccl_ops

    results = {}
    data = np.random.RandomState(rank).randn(2, 1001).astype(np.float32)
    x = tf.constant(data)
    for reduction in ('sum', 'min', 'max', 'prod'):
        results['float32_' + reduction] = hccl_ops.allreduce(x, reduction)
        for dtype in (tf.int8, tf.int16, tf.int32, tf.float16):
            small = tf.cast(tf.constant([3, 5 * (rank + 1), -7 + rank]), dtype)
            results[f'{dtype.name}_{reduction}'] = hccl_ops.allreduce(small, reduction)
    results['scalar'] = hccl_ops.allreduce(tf.constant(rank + 0.5), 'sum', fusion=0)
    results['broadcast_a'], results['broadcast_b'] = hccl_ops.broadcast(
        [x, tf.constant([rank, 10], tf.int64)], root_rank=1
    )
    results['allgather'] = hccl_ops.allgather(x, 2)
    results['reduce'] = hccl_ops.reduce(x, 'sum', root_rank=1)
    results['reduce_scatter'] = hccl_ops.reduce_scatter(x, 'sum', 2)
    if rank == 0:
        with tf.control_dependencies([hccl_ops.send(x, sr_tag=3, dest_rank=1)]):
            results['received'] = tf.zeros([1])
    else:
        results['received'] = hccl_ops.receive([2, 1001], tf.float32, sr_tag=3, src_rank=0)
    return results


def overflow_of_one_rank(device, rank):
    """Training steps whose third overflows on rank 1: what changed in the good steps before it, in
    it and after it, and the loop's report, as JSON. In a graph and a session of its own.
    """
    from hccl.collectives import HcclCollectives

    factor = 1e30 if rank == 1 else 1.0
    with tf.Graph().as_default():
        hp = npu_steps.settings()
        with npu_steps.Steps(device, hp, HcclCollectives(rank, 2), factor=factor) as run:
            return json.dumps(npu_steps.around_the_bad_step(run))


def main(path):
    import os

    rank = int(os.environ['RANK_ID'])
    parser = __import__('argparse').ArgumentParser()
    npu_options.add_flags(parser)
    options = npu_options.from_flags(parser.parse_args(['--gradient_split=60,40']))
    device = npu.NpuDevice(options)
    tensors = build(rank)
    init = tf.global_variables_initializer()
    npu._system_ops(tf.get_default_graph())  # `sink` makes them, but this graph has no step
    tf.get_default_graph().finalize()

    from hccl.manage import api
    from hccl.split import api as split_api

    try:
        api.get_rank_size()
        raise SystemExit('get_rank_size before initialize_system')
    except RuntimeError:
        pass
    with device.session(4, 2) as sess:
        results = {
            'rank_size': api.get_rank_size(),
            'rank_id': api.get_rank_id(),
            'local_rank_size': api.get_local_rank_size(),
            'local_rank_id': api.get_local_rank_id(),
        }
        npu.apply_gradient_split(options)
        results['split'] = split_api.strategies['hccl_world_group'][1]
        sess.run(init)
        results.update(sess.run(tensors))
    npu_steps.shorten_v1()
    device = npu_steps.device()
    for mode, adapter in npu_steps.MODES:
        npu_steps.choose(mode, adapter)
        results[f'steps {mode} {adapter}'] = overflow_of_one_rank(device, rank)
    try:
        api.get_rank_size()
        raise SystemExit('get_rank_size after shutdown_system')
    except RuntimeError:
        pass
    np.savez(path, **results)


if __name__ == '__main__':
    main(sys.argv[1])
