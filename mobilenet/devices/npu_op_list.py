"""Which ops of a graph an NPU has, by CANN's own list: op types, where they come from, what
follows.

The adapter cuts a graph op by op. What is not on the list runs on the host, once a session run and
not once a step: in a sunk loop of 100 steps it gives one value for all of them. The list is
`framework/built-in/tensorflow/npu_supported_ops.json` under $ASCEND_OPP_PATH.
"""

import collections
import os

from mobilenet import json_files, text
from mobilenet.errors import UsageError

DEFAULT_OPP_PATH = '/usr/local/Ascend/opp'  # where the adapter looks without ASCEND_OPP_PATH
NAME = 'npu_supported_ops.json'
# The adapter takes these apart: constants go where they are used, the input has a queue of its own.
_NOT_ASKED = frozenset(
    (
        'Const',
        'Placeholder',
        'PlaceholderWithDefault',
        'Iterator',
        'IteratorV2',
        'OneShotIterator',
        'IteratorGetNext',
    )
)
_PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# type, how many of it, one of them, and 'file:line' in this project that made it.
Missing = collections.namedtuple('Missing', 'type count op source')


def find_list():
    """Path of the list under $ASCEND_OPP_PATH, None where there is none."""
    opp_path = os.environ.get('ASCEND_OPP_PATH') or DEFAULT_OPP_PATH
    found, seen = [], set()
    for folder, folders, files in os.walk(opp_path, followlinks=True):
        folders.sort()
        place = os.path.realpath(folder)
        if place in seen:  # links that lead back up: without an end
            del folders[:]
        elif NAME in files:
            found.append(os.path.join(folder, NAME))
        seen.add(place)
    return min(found, default=None)


def read_list(path):
    """The op types of a list. Raises UsageError."""
    try:
        ops = json_files.loads(text.read_text(path))
    except ValueError as error:
        raise UsageError(f'{path} cannot be read as a list of ops: {error}')
    if not isinstance(ops, dict):
        raise UsageError(f'{path} is no list of ops: a JSON object of op types is wanted')
    return frozenset(name for name, value in ops.items() if isinstance(value, dict))


def needed_ops(fetched):
    """Every op that has to run for some (tf.Operation), in a list without repetition."""
    seen, stack = dict.fromkeys(fetched), list(fetched)
    while stack:
        op = stack.pop()
        for other in [t.op for t in op.inputs] + list(op.control_inputs):
            if other not in seen:
                seen[other] = None
                stack.append(other)
    return list(seen)


def count_types(ops):
    """Counter of op types."""
    return collections.Counter(op.type for op in ops)


def missing(ops, supported):
    """[Missing] of the op types that are not on a list, by name."""
    found = {}
    for op in ops:
        if op.type not in supported and op.type not in _NOT_ASKED:
            found.setdefault(op.type, []).append(op)
    rows = []
    for kind, same in sorted(found.items()):
        first = min(same, key=lambda op: op._id)  # the one that was made first
        rows.append(Missing(kind, len(same), first.name, source_of(first)))
    return rows


def source_of(op):
    """'mobilenet/nets/layers.py:115': the line here that made an op, or its forward op."""
    for file, line, *_ in reversed((op._original_op or op).traceback):
        file = os.path.abspath(file)
        if file.startswith(_PROJECT + os.sep) and 'site-packages' not in file:
            return f'{os.path.relpath(file, _PROJECT)}:{line}'
    return '?'


def check(fetched, allow_host_ops):
    """Looks up all that a sunk step (fetched: its ops) needs; gives lines for the person.

    Raises UsageError where an op would not sink, unless allow_host_ops.
    """
    path = find_list()
    if path is None:
        return [
            f'op check: no {NAME} under ASCEND_OPP_PATH ({os.environ.get("ASCEND_OPP_PATH")}): not '
            'known whether all ops of the step run on the device'
        ]
    absent = missing(needed_ops(fetched), read_list(path))
    if not absent:
        return []
    text = '; '.join(f'{m.type} ({m.count}, such as {m.op}, {m.source})' for m in absent)
    follows = 'on the host, once a loop instead of once a step'
    if not allow_host_ops:
        raise UsageError(
            f'not among the ops of {path}: {text}. They would run {follows}: '
            '--allow_host_ops goes on all the same, --iterations_per_loop=1 makes a loop a step'
        )
    return [f'op check: {text}: run {follows} (--allow_host_ops)']
