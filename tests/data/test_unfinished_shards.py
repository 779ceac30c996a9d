"""What a stopped conversion leaves behind, under hypothesis: taken as it is, or made again."""

import json
import os

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from data import convert

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
BAD = st.lists(st.lists(st.sampled_from(['a.png', 'no image', '\udcff', '\n']), max_size=3) | JSON)


@pytest.fixture(scope='module')
def staging(tmp_path_factory):
    return tmp_path_factory.mktemp('any') / '.partial-train'


def shard(folder):
    """A Shard of one image, written but for its `.done`."""
    os.makedirs(str(folder), exist_ok=True)
    image = folder.parent / 'a.png'
    if not image.exists():  # its time is part of what a shard is known by
        image.write_bytes(b'an image')
    task = convert.Shard(
        str(folder / 'train-0-of-1'), [convert.source(str(image), 0)], 'skip', False
    )
    with open(task.path, 'wb') as f:
        f.write(b'records')
    return task


def left_by(folder, done):
    """What is taken of a folder with these bytes beside its shard; nothing else is left there."""
    task = shard(folder)
    with open(task.path + '.done', 'wb') as f:
        f.write(done)
    found = convert._tidy(str(folder), [task])
    names = [os.path.basename(task.path), os.path.basename(task.path) + '.done']
    assert sorted(os.listdir(str(folder))) == (names if found else [])
    return found, task


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries({'bad': BAD | JSON, 'bytes': st.sampled_from([7, 8]) | JSON})
    .map(lambda entry: dict(entry, key='its own'))
    .map(json.dumps)
    | JSON.map(json.dumps)
    | st.just('[' * 50000)
    | st.text(max_size=9)
)
def test_whatever_is_beside_a_shard(staging, text):
    key = json.dumps(convert._key(shard(staging)))
    found, task = left_by(staging, text.replace('"its own"', key).encode('utf-8', 'surrogatepass'))
    assert list(found) in ([], [task.path])
    for pairs in found.values():
        assert os.path.getsize(task.path) == 7 and isinstance(pairs, list)
        assert all(isinstance(path + reason, str) for path, reason in pairs)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=99))
def test_bytes_beside_a_shard(staging, content):
    assert left_by(staging, content)[0] == {}


def test_what_is_taken(staging):
    """Skipped files are told of again, with names that are no UTF-8; not where anything changed."""
    skipped = [['b\udcff.png', 'no image'], ['', '']]

    def done(**changed):
        return json.dumps(
            dict({'key': convert._key(shard(staging)), 'bad': skipped, 'bytes': 7}, **changed)
        )

    for changed, taken in (
        ({}, True),
        ({'bytes': 8}, False),  # a shard that a power failure has cut
        ({'bytes': None}, False),
        ({'key': 'other sources'}, False),
        ({'bad': [['a']]}, False),
        ({'bad': {'a': 'b'}}, False),
    ):
        found, task = left_by(staging, done(**changed).encode())
        assert found == ({task.path: skipped} if taken else {}), changed


def test_other_things_in_the_folder_are_removed(staging):
    task = shard(staging)
    (staging / 'a folder' / 'within').mkdir(parents=True)
    (staging / 'a link').symlink_to(staging.parent)
    (staging / (os.path.basename(task.path) + '.done')).mkdir()
    assert convert._tidy(str(staging), [task]) == {}
    assert os.listdir(str(staging)) == [] and (staging.parent / 'a.png').exists()
