"""What a run contains, and what the adapter refuses in it."""

import collections
import re

import tensorflow as tf
from tensorflow.python.ops import control_flow_ops

from npu_bridge.sim.fatal import fatal
from npu_bridge.sim.marks import mark_of

ITERATION_OP = 'IterationOp'
_LOOKS_LIKE_ITERATION_OP = re.compile(r'(^|/)IterationOp(_\d+)?$')
_DATASET_ITERATORS = (
    'IteratorV2',
    'Iterator',
    'OneShotIterator',
    'MakeIterator',
    'IteratorFromStringHandle',
    'IteratorFromStringHandleV2',
)

# marks: types of the adapter's ops in the run; sinks: whether IterationOp is among them; started:
# names of the iterators that it initialises.
RunInfo = collections.namedtuple('RunInfo', 'ops marks sinks started')


def inspect(graph, fetched):
    """RunInfo of all ops that `fetched` (tf.Operations) need."""
    seen = set(fetched)
    stack = list(fetched)
    while stack:
        op = stack.pop()
        for other in [t.op for t in op.inputs] + op.control_inputs:
            if other not in seen:
                seen.add(other)
                stack.append(other)
    marks = {mark_of(op) for op in seen} - {None}
    started = {op.inputs[1].op.name for op in seen if op.type == 'MakeIterator'}
    return RunInfo(seen, marks, any(op.name == ITERATION_OP for op in seen), started)


def check(graph, info, iterations_per_loop):
    """Refuses a run on the NPU; iterations_per_loop is the configuration's."""
    types = collections.Counter(op.type for op in info.ops)
    if types['OneShotIterator'] and iterations_per_loop != 1:
        fatal('iterator_per_loop only support 1 when using OneShotIterator')
    wrappers = [
        op.name for op in graph.get_operations() if _LOOKS_LIKE_ITERATION_OP.search(op.name)
    ]
    wrong = [
        op.name
        for op in info.ops
        if _LOOKS_LIKE_ITERATION_OP.search(op.name) and op.name != ITERATION_OP
    ]
    if wrong:
        fatal(f'{wrong[0]} would not be sunk: the node must be named {ITERATION_OP}')
    if info.sinks and len(wrappers) > 1:
        fatal('only one {} in a graph: {}'.format(ITERATION_OP, ', '.join(wrappers)))
    if types['IteratorGetNext']:
        for op in info.ops:
            if op.type == 'IteratorGetNext':
                _check_get_next(op)
        _check_functional_loops(graph, info.ops)
    if info.sinks or types['IteratorGetNext']:
        _check_static(info.ops)


def _check_get_next(op):
    for output in op.outputs:
        if not output.shape.is_fully_defined():
            fatal(f'{op.name} has the dynamic shape {output.shape}: batch with drop_remainder')
    context = op._get_control_flow_context()
    while context is not None:
        if isinstance(context, control_flow_ops.WhileContext):
            fatal(f'GetNext {op.name} is inside the while loop {context.name}')
        context = context.outer_context


def _check_functional_loops(graph, ops):
    for op in ops:
        if op.type in ('While', 'StatelessWhile'):
            body = graph._functions.get(op.get_attr('body').name)
            nodes = body.definition.node_def if body is not None else []
            if any(n.op == 'IteratorGetNext' for n in nodes):
                fatal(f'GetNext is inside the while loop {op.name}')


def _check_static(ops):
    for op in ops:
        if op.type in _DATASET_ITERATORS or op.type == 'BroadcastGradientArgs':
            continue
        # The other outputs of a batch norm are scratch space between it and its gradient.
        outputs = op.outputs[:3] if op.type.startswith('FusedBatchNorm') else op.outputs
        for output in outputs:
            if output.dtype in (tf.resource, tf.variant) or output.shape.is_fully_defined():
                continue
            if not _folds(op):
                fatal(
                    f'{op.name} ({op.type}) has the dynamic shape {output.shape} in a graph '
                    'that runs on the NPU'
                )


def _folds(op):
    """A sum over the axes that BroadcastGradientArgs gives, and the reshape of it: constants to
    the device's compiler, and unknown to TensorFlow's shape inference."""
    sources = [t.op for t in op.inputs] if op.type in ('Sum', 'Reshape') else []
    return any(
        s.type == 'BroadcastGradientArgs' or (op.type == 'Reshape' and _folds(s)) for s in sources
    )
