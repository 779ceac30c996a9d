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
    for frame in reversed((op._original_op or op).traceback):
        path = os.path.abspath(frame[0])
        generated = frame[0].startswith('<')
        if path.startswith(ROOT + os.sep) and 'site-packages' not in path and not generated:
            return f'{os.path.relpath(path, ROOT)}:{frame[1]} {frame[2]}'
    return ''


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
    return [line_of(o) for o in shown]


def line_of(op):
    """An op of that list."""
    return {'op': op.name, 'type': op.type, 'source': source_of(op)}
