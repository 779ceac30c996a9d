"""A saturating device: every op that overflows raises the register, and nothing looks non-finite.

Inside, infinities and NaN go on as TensorFlow computes them, so that an overflow is found by the
sum of each tensor. Who asks sees what the device shows: is_finite is true, float16 ends at 65504
(npu_bridge.sim.precision), and a fetched NaN is 0, an infinity the largest number (`shown`).
"""

import numpy as np
import tensorflow as tf

from npu_bridge.sim.float_status import RAISED, REGISTER
from npu_bridge.sim.marks import mark_of
from npu_bridge.sim.precision import MOVES, used_outputs

_ASKS = {'IsFinite': True, 'IsNan': False, 'IsInf': False}


def apply(nodes, order, rounded):
    """Puts the register's watch into `nodes`. rounded: what npu_bridge.sim.precision gave."""
    for op in order.ops:
        if op.type in _ASKS:
            _answer(nodes, op, _ASKS[op.type])
    reads = [op for op in order.ops if mark_of(op) and op.name.split('/')[-1] == RAISED]
    if not reads:
        return  # nobody asks the register
    watched = [(op, _sum_of(nodes, t, i)) for op in order.ops for i, t in _watched(op)]
    watched += [(op, _flat_sum(nodes, tensor)) for tensor, op in rounded if _is_watched(op)]
    seen = set()
    for read in reads:
        before = set(order.ancestors(read))
        _raise(nodes, read, [s for op, s in watched if op in before])
        seen |= before
    _raise_late(nodes, order, [s for op, s in watched if op not in seen])


def shown(value):
    """A fetched value as the device gives it."""
    if isinstance(value, np.ndarray) or np.isscalar(value):
        array = np.asarray(value)
        if array.dtype.kind == 'f' and not np.isfinite(array).all():
            return np.nan_to_num(value)
    return value


def _is_watched(op):
    """Not inside a cond, where a branch that is not taken gives nothing to look at."""
    return op._get_control_flow_context() is None and not mark_of(op)


def _watched(op):
    if op.type in MOVES or not _is_watched(op) or _shows_behind(op):
        return
    for i, tensor in enumerate(used_outputs(op)):
        if tensor.dtype == tf.float32 and tensor.shape.ndims is not None:
            yield i, tensor


def _shows_behind(op):
    """A convolution that only its bias reads, which carries on what is not finite. With a second
    reader oneDNN would not make one op of the two, and the bits would be others.
    """
    # Of convolutions alone: an iterator's readers may be copies, which Python does not know.
    return op.type == 'Conv2D' and [c.type for c in op.outputs[0].consumers()] == ['BiasAdd']


def _sum_of(nodes, tensor, i):
    name = tensor.op.name + (f':{i}' if i else '')
    return _add_sum(nodes, name, tensor.shape.ndims)


def _flat_sum(nodes, tensor):
    shape = 'npu_watch/flat'
    if shape not in nodes.by_name:
        nodes.constant(shape, [-1], tf.int32)
    flat = nodes.add(
        'Reshape', 'npu_watch/' + tensor, [tensor, shape], T=tf.float32, Tshape=tf.int32
    )
    return _add_sum(nodes, flat, 1)


def _add_sum(nodes, tensor, rank):
    """A scalar that is not finite if an element is not."""
    if rank == 0:
        return tensor
    axes = f'npu_watch/axes_{rank}'
    if axes not in nodes.by_name:
        nodes.constant(axes, list(range(rank)), tf.int32)
    name = 'npu_watch/sum_' + tensor.replace(':', '_')
    return nodes.add('Sum', name, [tensor, axes], T=tf.float32, Tidx=tf.int32, keep_dims=False)


def _any_overflow(nodes, sums):
    """1.0 where one of the sums is not finite."""
    total = sums[0]
    if len(sums) > 1:
        total = nodes.add('AddN', 'npu_watch/all', sums, T=tf.float32, N=len(sums))
    finite = nodes.add('IsFinite', 'npu_watch/finite', [total], T=tf.float32)
    overflow = nodes.add('LogicalNot', 'npu_watch/overflow', [finite])
    return nodes.add('Cast', 'npu_watch/raised', [overflow], SrcT=tf.bool, DstT=tf.float32)


def _raise(nodes, read, sums):
    """Lets the constant that a status op reads be what the ops before it did."""
    if sums:
        raised = _any_overflow(nodes, sums)
        node = nodes.by_name[read.name]
        controls = [i for i in node.input if i.startswith('^')]
        node.Clear()
        node.name, node.op = read.name, 'Identity'
        node.input.extend([raised] + controls)
        node.attr['T'].type = tf.float32.as_datatype_enum


def _raise_late(nodes, order, sums):
    """Ops that no status op waited for raise the register for the next one, after every clear."""
    if not sums:
        return
    raised = _any_overflow(nodes, sums)
    clears = [
        '^' + op.name
        for op in order.ops
        if op.type == 'AssignVariableOp' and mark_of(op)  # a get writes what it read, too
    ]
    handle = nodes.add(
        'VarHandleOp', 'npu_watch/register', [], dtype=tf.float32, shape=tf.TensorShape([])
    )
    nodes.by_name[handle].attr['shared_name'].s = REGISTER.encode()
    old = 'npu_watch/zero'
    nodes.constant(old, 0.0, tf.float32)
    if clears:  # written in this run, so that it can be read
        old = nodes.add('ReadVariableOp', 'npu_watch/old', [handle] + clears, dtype=tf.float32)
    new = nodes.add('Maximum', 'npu_watch/new', [old, raised], T=tf.float32)
    nodes.targets.append(
        nodes.add('AssignVariableOp', 'npu_watch/write', [handle, new], dtype=tf.float32)
    )


def _answer(nodes, op, always):
    """is_finite and its like, with one answer, in the shape of the question."""
    node = nodes.by_name.pop(op.name)
    node.name = nodes.add('NoOp', op.name + '/asked', [])
    nodes.by_name[node.name] = node
    zeros = nodes.add('ZerosLike', op.name + '/no', [node.name], T=tf.bool)
    if always:
        nodes.add('LogicalNot', op.name, [zeros])
    else:
        nodes.add('Identity', op.name, [zeros], T=tf.bool)
