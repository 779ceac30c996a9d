"""Tensors of a step as files: written under the names that the vendor's msaccucmp.py takes as golden data, read under
both its kinds of names. numpy only.

    {op_name}.{output}.{timestamp}.npy                                           ours, the vendor's golden data
    {op_type}.{op_name}.{task_id}.{stream_id}.{timestamp}.output.{i}.npy         an NPU's own dump, converted

In a name `/`, `.`, `\\` and spaces of the op name are `_`; a timestamp is in microseconds, 16 digits. Our dumps have an
index (`index.jsonl`, a line a tensor, in order of the graph): it keeps the true names and what a file name cannot hold.
"""

import collections
import json
import math
import os
import re
import time

import numpy as np

from mobilenet.debug import figures
from mobilenet.errors import UsageError

INDEX = 'index.jsonl'
_LONGEST_OP = 200  # a file name has at most 255 bytes; output, timestamp and a number need some

# name: ours, such as 'act:Conv2d_3_pointwise', or 'scope/op:0'; output: of the op; layer: '' for none; position: in the
# order of the graph; source: the line of Python that made the op; ops: [{'op', 'type', 'source'}], those between the
# dumped tensors before it and itself, in order of computation; value: array.
Tensor = collections.namedtuple('Tensor', 'name op output type layer position source ops value')


def file_op_name(op):
    """An op's name as file names have it."""
    return re.sub(r'[/.\\ ]', '_', op)


def write(folder, step, tensors, timestamp=None):
    """Writes Tensors of one step into `folder`, which is made; gives the folder.

    A dump that the folder holds is replaced: the index, written last, is of the old files or of the new, never of both.
    timestamp: in microseconds, default now.
    """
    os.makedirs(folder, exist_ok=True)
    timestamp = f'{int(time.time() * 1e6) if timestamp is None else timestamp:016d}'
    old = _indexed_files(folder)
    used, lines = set(), []
    for tensor in sorted(tensors, key=lambda t: t.position):
        value = np.asarray(tensor.value)
        if value.dtype.kind not in 'biuf':
            raise UsageError(f'{tensor.name}: a dump holds numbers, not {value.dtype}')
        name = _file_name(tensor, timestamp, used)
        np.save(os.path.join(folder, name), value, allow_pickle=False)
        lines.append(_index_line(step, tensor, value, name))
    _replace(os.path.join(folder, INDEX), ''.join(lines))
    for name in old - used:
        _remove(os.path.join(folder, name))
    return folder


def _file_name(tensor, timestamp, used):
    """Two op names can become the same file name: the second gets `_2`, and so on."""
    stem = file_op_name(tensor.op)[-_LONGEST_OP:]
    number, suffix = 1, ''
    while True:
        name = f'{stem}{suffix}.{tensor.output}.{timestamp}.npy'
        if name not in used:
            used.add(name)
            return name
        number += 1
        suffix = f'_{number}'


def _index_line(step, tensor, value, file_name):
    described = figures.describe(value)
    line = collections.OrderedDict(
        [
            ('step', int(step)),
            ('name', tensor.name),
            ('op', tensor.op),
            ('output', int(tensor.output)),
            ('type', tensor.type),
            ('layer', tensor.layer),
            ('position', int(tensor.position)),
            ('file', file_name),
            ('shape', list(value.shape)),
            ('dtype', value.dtype.name),
            (
                'figures',
                collections.OrderedDict(
                    (k, v if math.isfinite(v) else None) for k, v in described.items()
                ),
            ),
            ('source', tensor.source),
            ('ops', list(tensor.ops)),
        ]
    )
    return json.dumps(line, allow_nan=False) + '\n'


def _replace(path, text):
    temporary = path + '.new'
    with open(temporary, 'w') as file:
        file.write(text)
    os.replace(temporary, path)


def _remove(path):
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


def _indexed_files(folder):
    """Files of the dump that `folder` holds. Only plain names: an index does not reach outside its folder."""
    try:
        with open(os.path.join(folder, INDEX), errors='replace') as file:
            lines = [_parse(line) for line in file]
    except FileNotFoundError:
        return set()
    return {line['file'] for line in lines if line}


def _parse(line):
    """A line of an index as a dict; None if it is not one."""
    try:
        found = json.loads(line)
        good = all(
            isinstance(found[key], str)
            for key in ('name', 'op', 'type', 'layer', 'file', 'source', 'dtype')
        )
        good &= all(
            isinstance(found[key], int) and found[key] >= 0
            for key in ('step', 'output', 'position')
        )
        good &= all(
            isinstance(op[key], str) for op in found['ops'] for key in ('op', 'type', 'source')
        )
    except (ValueError, TypeError, KeyError):
        return None
    return found if good and os.path.basename(found['file']) == found['file'] else None


class Entry:
    """A file of a dump. Its array is read by `load`, each time anew: a dump may be larger than the memory.

    step: None where it is not known; name, op, output, type, layer, position, source, ops: as a Tensor's, but without
    an index position is None, layer and source are '' and ops is empty; direction: 'output' or 'input'; timestamp: int;
    shape, dtype: of the array; indexed: whether an index tells of it.
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
        header = np.lib.format.open_memmap(
            path, 'r'
        )  # reads the head; a short file or one of objects is refused
        self.shape, self.dtype = header.shape, header.dtype
        if self.dtype.kind not in 'biuf':
            raise ValueError(f'holds {self.dtype}, not numbers')
        if line and (list(self.shape), self.dtype.name) != (line.get('shape'), line['dtype']):
            raise ValueError(
                'is {} {}, the index says {} {}'.format(
                    self.dtype.name, list(self.shape), line['dtype'], line.get('shape')
                )
            )

    def load(self):
        """The array. Raises OSError or ValueError where the file has changed since."""
        return np.load(self.path, allow_pickle=False)


# The op name is what lies between the first dot and the last three numbers; older tools write no stream_id. Conversion
# to another layout puts the shape behind, as 1x3x224x224.
_DEVICE_NAME = re.compile(
    r'(?P<type>[^.]+)\.(?P<op>.+?)\.\d+(?:\.\d+)?\.(?P<time>\d+)\.(?P<direction>output|input)'
    r'\.(?P<output>\d+)(?:\.[\dx]+)?\.npy'
)
_GOLDEN_NAME = re.compile(r'(?P<op>.+)\.(?P<output>\d+)\.(?P<time>\d+)\.npy')
_STEP_FOLDER = re.compile(r'(?:step_)?(\d+)')


def read(folder, problems=None):
    """The tensors under `folder` as {step, or None where it is not known: [Entry]}.

    folder: one of our dumps, a folder of them, converted dumps of an NPU (a tree), or golden files without an index.
    The entries of a step are in order of the graph, without an index of time. The step is from the index, or else from
    the nearest folder named `step_N` or N, `folder` itself included.
    problems: a list that gets a line for each file that is foreign, cut short or missing; such a file is left out.
    Raises UsageError where there is no such folder or nothing to compare in it.
    """
    problems = [] if problems is None else problems
    if not os.path.isdir(folder):
        raise UsageError(f'no such folder: {folder}')
    root = os.path.abspath(folder)
    found = []
    for place, folders, files in os.walk(root):
        folders.sort()
        if INDEX in files:
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
    with open(os.path.join(place, INDEX), errors='replace') as index:
        for number, text in enumerate(index, 1):
            line = _parse(text)
            if line is None:
                problems.append(f'{os.path.join(place, INDEX)}: line {number} is not of an index')
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
        except (
            OSError,
            ValueError,
            EOFError,
            SyntaxError,
            TypeError,
        ) as error:  # the last: numpy, of a damaged head
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
