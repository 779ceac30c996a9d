"""Tensors of a step as files that compare: what belongs to a dump, in order, with its place in the
graph.
"""

import os

from mobilenet.comparison import dump_files
from mobilenet.debug import graph_walk

DEFAULT_PATTERNS = ('images', 'labels', 'weight:*', 'act:*', 'loss', 'total_loss', 'grad:*')


def folder_of(parent, step):
    """Where the dump of a step is, among those of a run."""
    return os.path.join(parent, f'step_{step:06d}')


def write(folder, step, items, arrays):
    """Writes `items` of one step into `folder`; gives the folder.

    arrays: {item name: array}. Those of variables are from before the step: what the step computed
    with.
    """
    boundary = {item.op for item in items}
    return dump_files.write(
        folder,
        step,
        [
            _tensor(item, arrays[item.name], position, boundary)
            for position, item in enumerate(in_order(items))
        ],
    )


def in_order(items):
    """Items in order of computation: forward as created, then gradients from the last layer to the
    first.
    """

    def order(numbered):
        number, item = numbered
        return (1, -number) if item.kind == 'grad' else (0, item.op._id)

    return [item for _, item in sorted(enumerate(items), key=order)]


def _tensor(item, value, position, boundary):
    op, origin, variable = item.op, item.origin, item.is_variable
    ops = [] if variable else graph_walk.ops_before(origin, boundary - {op})
    return dump_files.Tensor(
        name=item.name,
        op=op.name,
        output=0 if variable else item.source.value_index,
        type=op.type,
        layer=item.layer,
        position=position,
        source=graph_walk.source_of(origin),
        ops=ops if origin is op else ops + [graph_walk.line_of(op)],
        value=value,
    )
