"""Tensors of a step as files, under the names that the vendor's msaccucmp.py takes as golden data.

    {op_name}.{output}.{timestamp}.npy

`/`, `.`, `\\` and spaces of the op name are `_`; a timestamp is in microseconds, 16 digits. A dump
has an index (`index.jsonl`, a line a tensor, in order of the graph): it keeps the true names and
what a file name cannot hold. dump_reader.py reads these dumps and those of others.
"""

import collections
import json
import math
import os
import re
import time

import numpy as np

from mobilenet.comparison import statistics
from mobilenet.errors import UsageError

INDEX = 'index.jsonl'
_LONGEST_OP = 200  # a file name has at most 255 bytes; output, timestamp and a number need some

# name: ours, such as 'act:Conv2d_3_pointwise', or 'scope/op:0'; output: of the op; layer: '' for
# none; position: in the order of the graph; source: the line of Python that made the op; ops:
# [{'op', 'type', 'source'}], those between the dumped tensors before it and itself, in order of
# computation; value: array.
Tensor = collections.namedtuple('Tensor', 'name op output type layer position source ops value')


def file_op_name(op):
    """An op's name as file names have it."""
    return re.sub(r'[/.\\ ]', '_', op)


def write(folder, step, tensors, timestamp=None):
    """Writes Tensors of one step into `folder`, which is made; gives the folder.

    A dump that the folder holds is replaced: the index, written last, is of the old files or of the
    new, never of both.
    timestamp: in microseconds, default now.
    """
    os.makedirs(folder, exist_ok=True)
    timestamp = f'{int(time.time() * 1e6) if timestamp is None else timestamp:016d}'
    old = {line['file'] for line in read_index(folder) if line}
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
        if os.path.isfile(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
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
    described = statistics.describe(value)
    line = collections.OrderedDict(
        step=int(step),
        name=tensor.name,
        op=tensor.op,
        output=int(tensor.output),
        type=tensor.type,
        layer=tensor.layer,
        position=int(tensor.position),
        file=file_name,
        shape=list(value.shape),
        dtype=value.dtype.name,
        figures=collections.OrderedDict(
            (k, v if math.isfinite(v) else None) for k, v in described.items()
        ),
        source=tensor.source,
        ops=list(tensor.ops),
    )
    return json.dumps(line, allow_nan=False) + '\n'


def _replace(path, text):
    temporary = path + '.new'
    with open(temporary, 'w') as file:
        file.write(text)
    os.replace(temporary, path)


def read_index(folder):
    """The lines of a folder's index as dicts, None for one that is not of an index; [] without."""
    path = os.path.join(folder, INDEX)
    if not os.path.isfile(path):  # a pipe or a device would not end
        return []
    with open(path, errors='replace') as file:
        return [_parse(line) for line in file]


def _parse(line):
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
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if good and _is_plain(found['file']) else None


def _is_plain(name):
    """Whether a file of that name lies in the dump's own folder."""
    return name.endswith('.npy') and os.path.basename(name) == name and '\0' not in name
