"""The adapter's raw ops, made of TensorFlow's own.

`npu_bridge.sim.session` acts on some of them and keeps all off sessions without NpuOptimizer.
"""

import itertools
import zlib

import tensorflow as tf
from tensorflow.python.ops import gen_collective_ops

from npu_bridge.sim import float_status, settings, world
from npu_bridge.sim.float_status import (  # noqa: F401  Raw ops as well.
    npu_alloc_float_status,
    npu_clear_float_status,
    npu_get_float_status,
)
from npu_bridge.sim.marks import marked
from npu_bridge.sim.marks import standing_for as _standing_for

_V2_OPS = ('npu_get_float_status_v2', 'npu_clear_float_status_v2')

# TensorFlow's own collective reduces by these two; min and max are taken of all ranks' tensors.
MERGED = {'prod': 'Mul', 'sum': 'Add'}
GATHERED = {'min': tf.reduce_min, 'max': tf.reduce_max}
REDUCED_TYPES = (tf.int8, tf.int16, tf.int32, tf.float16, tf.float32)
NEWER_REDUCED_TYPES = REDUCED_TYPES + (tf.int64, tf.bfloat16)
MOVED_TYPES = NEWER_REDUCED_TYPES + (tf.uint64,)

# The same ops are built in the same order on all ranks, as HCCL itself demands, so counting
# agrees. Far above the keys that a program may give to collectives of its own.
_instances = itertools.count(1000000)


def __getattr__(name):
    """The ops that only newer adapters have."""
    if name in _V2_OPS and not settings.is_old_adapter():
        return getattr(float_status, name)
    raise AttributeError(f'module {__name__} has no attribute {name}')


# ---- system ----


def npu_init(name=None):
    return _system('NPUInit', name)


def npu_shutdown(name=None):
    return _system('NPUShutdown', name)


def _system(op_type, name):
    with _standing_for(op_type):
        meeting = []
        if world.size() > 1:
            # All ranks meet here, so that none leaves, or goes ahead, while another needs it.
            meeting = [_reduce(tf.zeros([1]), 'sum', world.WORLD_GROUP)]
    with marked(op_type):
        with tf.control_dependencies(meeting):
            return tf.no_op(name=name or op_type)


# ---- collectives ----


def hcom_all_reduce(input, reduction, group, fusion, fusion_id, name=None):
    tensor = _checked(input, _reduced_types(), 'HcomAllReduce')
    _check_fusion(fusion, fusion_id, (0, 1, 2))
    with _standing_for('HcomAllReduce', name):
        return _reduce(tensor, reduction, group)


def hcom_reduce(input, reduction, group, root_rank, fusion, fusion_id, name=None):
    """Ranks other than the root get their own tensor back; HCCL leaves that undefined."""
    tensor = _checked(input, _reduced_types(), 'HcomReduce')
    _check_fusion(fusion, fusion_id, (0, 2))
    with _standing_for('HcomReduce', name):
        reduced = _reduce(tensor, reduction, group)
        if _index_in(group) == root_rank:
            return reduced
        with tf.control_dependencies([reduced]):
            return tf.identity(tensor)


def hcom_reduce_scatter(input, reduction, group, rank_size, fusion=0, fusion_id=-1, name=None):
    tensor = _checked(input, _reduced_types(), 'HcomReduceScatter')
    _check_fusion(fusion, fusion_id, (0, 2))
    _check_rank_size(rank_size, group)
    with _standing_for('HcomReduceScatter', name):
        rows = tensor.shape.as_list()[0]
        if rows % rank_size:
            raise ValueError(
                f'input first dim should be N * rank_size: {rows} rows over {rank_size} ranks'
            )
        piece = rows // rank_size
        reduced = _reduce(tensor, reduction, group)
        return reduced[piece * _index_in(group) : piece * (_index_in(group) + 1)]


def hcom_all_gather(input, group, rank_size, fusion=0, fusion_id=-1, name=None):
    tensor = _checked(input, MOVED_TYPES, 'HcomAllGather')
    _check_fusion(fusion, fusion_id, (0, 2))
    _check_rank_size(rank_size, group)
    if tensor.shape.ndims < 1:
        raise ValueError('HcomAllGather takes tensors of rank 1 or above')
    with _standing_for('HcomAllGather', name):
        if rank_size == 1:
            return tf.identity(tensor)
        carried, back = _carried(tensor)
        return back(_gather(carried, rank_size, group))


def hcom_broadcast(input, group, root_rank, fusion, fusion_id, name=None):
    """A list in, a list out."""
    if not isinstance(input, (list, tuple)):
        raise TypeError(f"Expected list for 'input' argument to 'HcomBroadcast' Op, not {input}.")
    _check_fusion(fusion, fusion_id, (0, 2))
    tensors = [_checked(t, MOVED_TYPES, 'HcomBroadcast') for t in input]
    with _standing_for('HcomBroadcast', name):
        ranks = world.group_ranks(group)
        if not 0 <= root_rank < len(ranks):
            raise ValueError(f'root_rank {root_rank} in a group of {len(ranks)}')
        return [
            _from_root(
                t,
                len(ranks),
                root_rank,
                world.group_key(group),
                next(_instances),
                is_root=_index_in(group) == root_rank,
            )
            for t in tensors
        ]


def hcom_send(input, group, sr_tag, dest_rank, name=None):
    tensor = _checked(input, MOVED_TYPES, 'HcomSend')
    with _standing_for('HcomSend', name):
        return _from_root(
            tensor, is_root=True, **_pair(group, sr_tag, _index_in(group), dest_rank)
        ).op


def hcom_receive(shape, T, group, sr_tag, src_rank, name=None):
    placeholder = _checked(tf.zeros(shape, T), MOVED_TYPES, 'HcomReceive')
    with _standing_for('HcomReceive', name):
        return _from_root(
            placeholder, is_root=False, **_pair(group, sr_tag, src_rank, _index_in(group))
        )


def _reduced_types():
    return REDUCED_TYPES if settings.is_old_adapter() else NEWER_REDUCED_TYPES


def _reduce(tensor, reduction, group):
    if reduction not in MERGED and reduction not in GATHERED:
        raise ValueError(
            f'Value for attr \'reduction\' of "{reduction}" is not in the list of allowed '
            'values: "min", "max", "prod", "sum"'
        )
    ranks = world.group_ranks(group)
    _index_in(group)
    if len(ranks) == 1:
        return tf.identity(tensor)
    carried, back = _carried(tensor)
    if reduction in GATHERED:
        rows = _gather(carried[tf.newaxis], len(ranks), group)
        return back(GATHERED[reduction](rows, axis=0))
    return back(
        gen_collective_ops.collective_reduce(
            carried,
            group_size=len(ranks),
            group_key=world.group_key(group),
            instance_key=next(_instances),
            merge_op=MERGED[reduction],
            final_op='Id',
            subdiv_offsets=[0],
        )
    )


def _gather(tensor, group_size, group):
    """Concatenates the ranks' tensors, of static shape, along their first axis."""
    shape = tensor.shape.as_list()
    return gen_collective_ops.collective_gather(
        tensor,
        group_size=group_size,
        group_key=world.group_key(group),
        instance_key=next(_instances),
        shape=[group_size * shape[0]] + shape[1:],
    )


def _from_root(tensor, group_size, root, group_key, instance_key, is_root):
    """The root's tensor on all ranks of a group, bit for bit.

    TensorFlow 1.15's broadcast does not find a source other than the first in the group: those
    take the root's part of all tensors.
    """
    if group_size == 1:
        return tf.identity(tensor)
    carried, back = _carried(tensor)
    keys = {'group_size': group_size, 'group_key': group_key, 'instance_key': instance_key}
    if root:
        shape = [group_size] + carried.shape.as_list()
        return back(
            gen_collective_ops.collective_gather(carried[tf.newaxis], shape=shape, **keys)[root]
        )
    if is_root:
        return back(gen_collective_ops.collective_bcast_send(carried, shape=carried.shape, **keys))
    with tf.control_dependencies([tensor]):
        return back(
            gen_collective_ops.collective_bcast_recv(T=carried.dtype, shape=carried.shape, **keys)
        )


def _pair(group, sr_tag, src, dest):
    """Arguments of _from_root for one message, in a group of two."""
    if src == dest:
        raise ValueError(f'rank {src} sends to itself')
    text = f'{group} {src} to {dest}'
    tag = zlib.crc32((f'{text} tag {sr_tag}').encode()) & 0x3FFFFFFF
    return {
        'group_size': 2,
        'root': int(src > dest),
        'group_key': world.group_key('pair ' + text),
        'instance_key': 0x40000000 | tag,
    }


def _carried(tensor):
    """(tensor of a type that TensorFlow's collectives take, function back to the first type)."""
    dtype = tensor.dtype.base_dtype
    if dtype in (tf.int8, tf.int16):
        return tf.cast(tensor, tf.int32), lambda t: tf.cast(t, dtype)
    if dtype in (tf.float16, tf.bfloat16):
        return tf.cast(tensor, tf.float32), lambda t: tf.cast(t, dtype)
    if dtype == tf.uint64:
        return tf.bitcast(tensor, tf.int64), lambda t: tf.bitcast(t, dtype)
    return tf.identity(tensor), tf.identity


def _index_in(group):
    ranks = world.group_ranks(group)
    if world.rank() not in ranks:
        raise ValueError(f'rank {world.rank()} is not in HCCL group {group}')
    return ranks.index(world.rank())


def _checked(tensor, dtypes, op_type):
    tensor = tf.convert_to_tensor(tensor)
    if tensor.dtype.base_dtype not in dtypes:
        raise TypeError(
            "Value passed to parameter 'input' of {} has DataType {} not in list of "
            'allowed values: {}'.format(
                op_type, tensor.dtype.name, ', '.join(d.name for d in dtypes)
            )
        )
    if not tensor.shape.is_fully_defined():
        raise ValueError(f'{op_type} takes static shapes, not {tensor.shape}')
    return tensor


def _check_fusion(fusion, fusion_id, allowed):
    if fusion not in allowed:
        raise ValueError(f'fusion must be one of {allowed}, not {fusion}')
    if fusion == 2 and fusion_id < 0:
        raise ValueError('fusion=2 needs a fusion_id of 0 or above')


def _check_rank_size(rank_size, group):
    if rank_size != len(world.group_ranks(group)):
        raise ValueError(f'rank_size={rank_size} in a group of {len(world.group_ranks(group))}')
