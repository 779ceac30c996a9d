"""Where an op comes from: the line of our code that made it, and the ops that lead to it."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOST = 12
# Not worth a line: they compute nothing.
_SILENT = (
    'Const',
    'Identity',
    'VarHandleOp',
    'ReadVariableOp',
    'Placeholder',
    'NoOp',
    'Shape',
    'BroadcastGradientArgs',
)


def source_of(op):
    """'mobilenet/nets/layers.py:95 conv2d', of a gradient's op the line of the forward op; '' where
    no line is ours.
    """
    for frame in reversed(_forward(op).traceback):
        path = os.path.abspath(frame[0])
        if path.startswith(ROOT + os.sep) and 'site-packages' not in path:
            return f'{os.path.relpath(path, ROOT)}:{frame[1]} {frame[2]}'
    return ''


def _forward(op):
    """The op itself; of a gradient, unscaled or not, the forward op that it is of."""
    gradient = op.inputs[0].op if op.type == 'RealDiv' else op
    return next((o._original_op for o in (op, gradient) if o._original_op is not None), op)


def ops_before(op, boundary):
    """The ops that lead to `op`, itself last, back to those in `boundary` (a set of ops, left out)
    and to variables.

    A list of dicts {'op', 'type', 'source'} in order of creation, which is one of computation; the
    last MOST of them.
    """
    seen, waiting = {op}, [op]
    while waiting:
        for tensor in waiting.pop().inputs:
            if tensor.op not in boundary and tensor.op not in seen:
                seen.add(tensor.op)
                waiting.append(tensor.op)
    shown = sorted((o for o in seen if o.type not in _SILENT), key=lambda o: o._id)[-MOST:]
    return [{'op': o.name, 'type': o.type, 'source': source_of(o)} for o in shown]
