"""Which ops of a run are on the device, by the list of supported ops.

The adapter cuts the graph op by op. What is not on the list, or inside a
without_npu_compile_scope, runs on the host, once a session run: its values become arguments of
the device's graph, the same for all iterations of a sunk loop.
"""

import tensorflow as tf

from npu_bridge.sim import settings
from npu_bridge.sim.late_reads import writes
from npu_bridge.sim.marks import mark_of

# Constants and the input are handled apart (AddRelationalConst, the data pre-processing graph).
_NOT_ASKED = frozenset(
    ('Const', 'Placeholder', 'PlaceholderWithDefault', 'IteratorV2', 'IteratorGetNext')
)


def host_tensors(order, iteration_op):
    """Outputs of host ops that the sunk loop takes as arguments.

    Raises InternalError, as the adapter, where a host op wants what only the device has.
    """
    supported = settings.supported_ops()
    on_host = [op for op in order.ops if _is_on_host(op, supported)]
    on_host = [op for op in on_host if order.precedes(op, iteration_op)]
    taken = []
    for op in on_host:
        for before in order.ancestors(op):
            if before.type == 'IteratorGetNext' or mark_of(before) or writes(before):
                raise tf.errors.InternalError(
                    None, None, f'Retval[{len(taken)}] does not have value ({op.name}, {op.type})'
                )
        taken += [t for t in op.outputs if any(c not in on_host for c in t.consumers())]
    return taken


def _is_on_host(op, supported):
    if op.type in _NOT_ASKED:
        return False
    return (mark_of(op) or op.type) not in supported or _is_kept_off(op)


def _is_kept_off(op):
    try:
        return op.get_attr('_without_npu_compile')
    except ValueError:
        return False
