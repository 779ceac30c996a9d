"""Dump files and indexes with anything in them: left out and named, nothing but our own error."""

import io
import json
import os
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from mobilenet.comparison import compare, dump_files, dump_reader
from mobilenet.errors import UsageError
from tests.helpers.dump_cases import TIME, tensor

ONE_BY_ONE = settings(max_examples=300, deadline=None)
NAMES = [
    f'scope_a.0.{TIME}.npy',
    f'Relu.scope_a.7.1.{TIME}.output.0.npy',
    f'Relu.scope_a.7.1.{TIME}.6.0.0.0.output.0.npy',
    'foreign.npy',
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**400)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def npy(value):
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


GOOD = npy(np.arange(6, dtype=np.float32).reshape(2, 3))
HEADS = st.builds(
    lambda version, head, rest: (
        b'\x93NUMPY' + bytes([version, 0]) + len(head).to_bytes(2, 'little') + head + rest
    ),
    st.integers(0, 4),
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda descr, order, shape: repr(
                {'descr': descr, 'fortran_order': order, 'shape': shape}
            ).encode(),
            st.one_of(
                st.sampled_from(['<f4', '|O', '<U3', '<c8', '|V3', '', 'f', '>M8[ns]', '<f999']),
                st.text(max_size=4),
                st.integers(),
                st.lists(st.tuples(st.text(max_size=2), st.sampled_from(['<f4', '|O']))),
            ),
            SCALARS,
            st.one_of(SCALARS, st.lists(st.one_of(st.integers(), SCALARS), max_size=3).map(tuple)),
        ),
        st.sampled_from([b'(' * 500, b'[' * 5000, b'{' + b'-' * 5000 + b'1}']),
    ),
    st.binary(max_size=24),
)
FLIPPED = st.builds(
    lambda at, byte, end: (GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])[:end],
    st.integers(0, len(GOOD) - 1),
    st.integers(0, 255),
    st.integers(0, len(GOOD)),
)


def compared(folder):
    """Compares a folder with itself; gives what was left out, or the error's line."""
    try:
        result = compare.compare(folder, folder)
        return ' '.join(result.problems)
    except UsageError as error:
        assert '\n' not in str(error)
        return str(error)


@pytest.mark.filterwarnings('ignore')  # numpy's, of heads that it takes for old ones
@ONE_BY_ONE
@given(st.sampled_from(NAMES), st.one_of(HEADS, FLIPPED, st.binary(max_size=100)))
def test_files_with_anything_in_them(name, content):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(content)
        compared(folder)


def index_line(**changes):
    line = {
        'step': 3,
        'name': 'act:a',
        'op': 'scope/a',
        'output': 0,
        'type': 'Relu',
        'layer': 'a',
        'position': 0,
        'file': NAMES[0],
        'shape': [2, 3],
        'dtype': 'float32',
        'source': 'layers.py:1',
        'ops': [],
    }
    line.update(changes)
    return json.dumps(line)


@ONE_BY_ONE
@given(
    st.one_of(
        st.text(),
        JSON.map(json.dumps),
        st.builds(
            lambda key, value: index_line(**{key: value}),
            st.sampled_from(sorted(json.loads(index_line()))),
            JSON,
        ),
        st.sampled_from(['[' * 100000, '{"a":' * 5000, index_line(file='..'), index_line(file='')]),
    )
)
def test_an_index_with_anything_in_it(line):
    """Read, compared with itself, and replaced by a dump of one tensor."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, NAMES[0]), 'wb') as file:
            file.write(GOOD)
        with open(os.path.join(folder, dump_files.INDEX), 'w', errors='surrogatepass') as file:
            file.write(line + '\n')
        compared(folder)
        dump_files.write(folder, 3, [tensor('act:a', 0, np.float32([1]), 'scope/a')], TIME + 1)
        (entries,) = dump_reader.read(folder).values()
        assert [e.name for e in entries] == ['act:a'] and entries[0].load() == [1]


@pytest.mark.parametrize('make', ['pipe', 'link to a device', 'folder', 'link to itself'])
@pytest.mark.parametrize('name', [NAMES[0], dump_files.INDEX])
def test_what_is_no_file_is_left_out(tmp_path, make, name):
    path = str(tmp_path / name)
    if make == 'pipe':
        os.mkfifo(path)
    elif make == 'folder':
        os.mkdir(path)
    else:
        os.symlink('/dev/zero' if 'device' in make else path, path)
    assert 'no tensors in it' in compared(str(tmp_path))


def test_objects_and_strings_are_refused(tmp_path):
    for number, value in enumerate((np.array([None, {}]), np.array(['a', 'b']), np.complex64(1))):
        folder = tmp_path / str(number)
        folder.mkdir()
        np.save(str(folder / NAMES[0]), value, allow_pickle=True)
        assert 'no tensors in it' in compared(str(folder))
