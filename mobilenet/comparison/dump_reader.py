"""Reads dumps of tensors: ours with their index, golden files without, and converted ones of an
NPU.

    {op_name}.{output}.{timestamp}.npy                                         see dump_files.py
    {op_type}.{op_name}.{task_id}.{stream_id}.{timestamp}.output.{i}.npy       an NPU's, converted
    {op_type}.{op_name}.{task_id}.{stream_id}.{timestamp}.{task_type}.{context_id}.{thread_id}.
        {device_id}.output.{i}.npy                                             from CANN 8.5 on

A file that cannot be read is left out and named, whatever is in it.
"""

import collections
import os
import re

import numpy as np

from mobilenet.comparison import dump_files
from mobilenet.errors import UsageError


def open_array(path):
    """A memory map of a .npy file: its head is read, not its data.

    Raises OSError, or ValueError that says why it is no array of numbers.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError('is no file')
    try:
        array = np.lib.format.open_memmap(path, 'r')
    except (OSError, ValueError):
        raise
    except Exception as error:  # numpy's reader of heads raises many kinds on a damaged one
        raise ValueError(f'cannot be read: {error}')
    if array.dtype.kind not in 'biuf':
        raise ValueError(f'holds {array.dtype}, not numbers')
    return array


class Entry:
    """A file of a dump. Its array is read by `load`, each time anew: a dump may be larger than the
    memory.

    step: None where it is not known; name, op, output, type, layer, position, source, ops: as a
    Tensor's, but without an index position is None, layer and source are '' and ops is empty;
    direction: 'output' or 'input'; timestamp: int; shape, dtype: of the array; indexed: whether an
    index tells of it.
    """

    def __init__(self, path, step, op, output, direction='output', type='', timestamp=0, line=None):
        self.path, self.step, self.op, self.output, self.direction = (
            path,
            step,
            op,
            output,
            direction,
        )
        self.type, self.timestamp, self.indexed = type, timestamp, line is not None
        line = line or {}
        self.name = line.get('name') or '{}:{}{}'.format(
            op, '' if direction == 'output' else 'input.', output
        )
        self.layer, self.position = line.get('layer', ''), line.get('position')
        self.source, self.ops = line.get('source', ''), line.get('ops') or []
        head = open_array(path)
        self.shape, self.dtype = head.shape, head.dtype
        if line and (list(self.shape), self.dtype.name) != (line.get('shape'), line['dtype']):
            raise ValueError(
                'is {} {}, the index says {} {}'.format(
                    self.dtype.name, list(self.shape), line['dtype'], line.get('shape')
                )
            )

    def load(self):
        """The array. Raises OSError or ValueError where the file has changed since."""
        return np.load(self.path, allow_pickle=False)


# The op name is what lies between the first dot and the numbers; older tools write no stream_id.
# Conversion to another layout puts the shape behind, as 1x3x224x224.
_DEVICE_NAME = re.compile(
    r'(?P<type>[^.]+)\.(?P<op>.+?)\.[0-9]+(?:\.[0-9]+)?\.(?P<time>[0-9]+)'
    r'(?:\.\w+\.[0-9]+\.[0-9]+\.[0-9]+)?\.(?P<direction>output|input)'
    r'\.(?P<output>[0-9]+)(?:\.[0-9x]+)?\.npy'
)
_GOLDEN_NAME = re.compile(r'(?P<op>.+)\.(?P<output>[0-9]+)\.(?P<time>[0-9]+)\.npy')
_STEP_FOLDER = re.compile(r'(?:step_)?([0-9]+)')


def read(folder, problems=None):
    """The tensors under `folder` as {step, or None where it is not known: [Entry]}.

    folder: one of our dumps, a folder of them, converted dumps of an NPU (a tree), or golden files
    without an index. The entries of a step are in order of the graph, without an index of time. The
    step is from the index, or else from the nearest folder named `step_N` or N, `folder` included.
    problems: a list that gets a line for each file that is foreign, cut short or missing; such a
    file is left out.
    Raises UsageError where there is no such folder or nothing to compare in it.
    """
    problems = [] if problems is None else problems
    if not os.path.isdir(folder):
        raise UsageError(f'no such folder: {folder}')
    root = os.path.abspath(folder)
    found = []
    for place, folders, files in os.walk(root):
        folders.sort()
        if dump_files.INDEX in files:
            found += _read_indexed(place, files, problems)
        else:
            step = _step_of(place, root)
            found += _opened(
                (
                    (name, _read_name(os.path.join(place, name), step))
                    for name in sorted(files)
                    if name.endswith('.npy')
                ),
                place,
                problems,
            )
    if not found:
        raise UsageError(
            '{}: no tensors in it{}'.format(
                folder,
                ': ' + problems[0]
                if problems
                else ' (.npy files of a dump, converted if they are of an NPU)',
            )
        )
    return _by_step(found)


def _step_of(place, root):
    while True:
        match = _STEP_FOLDER.fullmatch(os.path.basename(place))
        if match:
            return int(match.group(1))
        if place == root:
            return None
        place = os.path.dirname(place)


def _read_name(path, step):
    """A function that makes the Entry of a file without an index."""
    name = os.path.basename(path)
    match = _DEVICE_NAME.fullmatch(name) or _GOLDEN_NAME.fullmatch(name)

    def make():
        if not match:
            raise ValueError('is not named like a dump')
        parts = match.groupdict()
        return Entry(
            path,
            step,
            parts['op'],
            int(parts['output']),
            parts.get('direction', 'output'),
            parts.get('type', ''),
            int(parts['time']),
        )

    return make


def _read_indexed(place, files, problems):
    known = set()
    makers = []
    for number, line in enumerate(dump_files.read_index(place), 1):
        if line is None:
            index = os.path.join(place, dump_files.INDEX)
            problems.append(f'{index}: line {number} is not of an index')
            continue
        known.add(line['file'])
        makers.append((line['file'], _of_index(os.path.join(place, line['file']), line)))
    problems += [
        f'{os.path.join(place, name)}: not in the index, left out'
        for name in sorted(files)
        if name.endswith('.npy') and name not in known
    ]
    return _opened(makers, place, problems)


def _of_index(path, line):
    match = _GOLDEN_NAME.fullmatch(os.path.basename(path))
    time_of_file = int(match.group('time')) if match else 0
    return lambda: Entry(
        path, line['step'], line['op'], line['output'], 'output', line['type'], time_of_file, line
    )


def _opened(makers, place, problems):
    """Entries of the files that can be read."""
    found = []
    for name, make in makers:
        try:
            found.append(make())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(
                '{}: {}'.format(
                    os.path.join(place, name), ' '.join((reason or 'cannot be read').split())
                )
            )
    return found


def _by_step(entries):
    steps = collections.defaultdict(list)
    for entry in entries:
        steps[entry.step].append(entry)
    for group in steps.values():
        group.sort(key=lambda e: (e.position is None, e.position or 0, e.timestamp, e.path))
    return dict(steps)
