"""Variables are read when the reader runs, as in GE, which removes ReadVariableOp.

What is not ordered after or before a write sees, here, always the new value: the device may show
either, and code that works with the new one only by luck is found. A reader that is ordered
before every write (by data or control edges) sees the old value, one that is ordered after a
write the new one, on the device as in TensorFlow.
"""

import collections

import tensorflow as tf

from npu_bridge.sim.nodes import text

_PASSED_ON = ('Identity', 'Switch', 'Enter', 'RefSwitch')


def apply(nodes, order, fetches):
    """Puts late reads into `nodes`. fetches: tensors that the run gives back."""
    writers = collections.defaultdict(list)
    for op in order.ops:
        if writes(op):
            for handle in _handles(op):
                writers[handle].append(op)
    merges = [op for op in order.ops if op.type == 'Merge']
    for op in order.ops:
        if op.type != 'ReadVariableOp':
            continue
        for handle in _handles(op):
            if handle in writers:
                _read_late(nodes, order, op, writers[handle], merges, fetches)


def writes(op):
    return op.type.startswith(('Assign', 'ResourceApply')) and any(
        t.dtype.base_dtype == tf.resource for t in op.inputs
    )


def _handles(op):
    """The variables' handles among an op's inputs, back through cond's switches."""
    handles = []
    for tensor in op.inputs:
        if tensor.dtype.base_dtype == tf.resource:
            source = tensor.op
            while source.type in _PASSED_ON:
                source = source.inputs[0].op
            if source.type == 'VarHandleOp':
                handles.append(source)
    return handles


def _read_late(nodes, order, read, writers, merges, fetches):
    known = nodes.ops
    late = {}
    for tensor in _same_value(read, known):
        for consumer in tensor.consumers():
            if consumer.name not in known or consumer.type == 'Identity':
                continue
            after = _unordered(order, consumer, writers, merges)
            if not after:
                continue
            if after not in late:
                late[after] = _new_read(nodes, read, after)
            for index, given in enumerate(consumer.inputs):
                if given is tensor:
                    nodes.replace(consumer, index, late[after])
        if tensor in fetches and not any(order.precedes(w, tensor.op) for w in writers):
            after = tuple(settled for settled in (_settled(order, w, merges) for w in writers))
            if all(after):
                late.setdefault(after, None)
                late[after] = late[after] or _new_read(nodes, read, after)
                nodes.fetched[text(tensor)] = late[after]


def _same_value(read, known):
    """The read tensor and the identities of it."""
    tensors = [read.outputs[0]]
    for tensor in tensors:
        tensors += [
            c.outputs[0] for c in tensor.consumers() if c.type == 'Identity' and c.name in known
        ]
    return tensors


def _unordered(order, consumer, writers, merges):
    """What the consumer's read has to wait for: writes that it is not ordered against."""
    after = []
    for writer in writers:
        if (
            consumer is writer
            or order.precedes(consumer, writer)
            or order.precedes(writer, consumer)
        ):
            continue
        same_branch = consumer._get_control_flow_context() is writer._get_control_flow_context()
        settled = writer if same_branch else _settled(order, writer, merges)
        # A merge that waits for the consumer cannot be waited for: the branch holds them both.
        if settled is not None and not order.precedes(consumer, settled):
            after.append(settled)
    return tuple(after)


def _settled(order, writer, merges):
    """The op at the top level after which the write is done, whichever branch was taken."""
    if writer._get_control_flow_context() is None:
        return writer
    for merge in merges:
        if order.precedes(writer, merge) and merge._get_control_flow_context() is None:
            return merge
    return None


def _new_read(nodes, read, after):
    given = list(nodes.by_name[read.name].input) + ['^' + op.name for op in after]
    return nodes.add(
        'ReadVariableOp', read.name + '/late', given, dtype=read.outputs[0].dtype.base_dtype
    )
