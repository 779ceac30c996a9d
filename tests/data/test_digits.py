"""scikit-learn's digits as a data set: whole, once, by any number of processes, kills or not."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data import digits
from mobilenet.errors import UsageError
from tests.helpers import slim_records

FILES = ['labels.txt', 'train-00000-of-00002', 'train-00001-of-00002', 'validation-00000-of-00001']


def start(folder, code='', **environment):
    """A process that makes sure of the digits in `folder` (None: the cache), after `code`."""
    folder = folder and str(folder)
    program = f'{code}\nfrom data import digits\nprint(digits.ensure({folder!r}))'
    return subprocess.Popen(
        [sys.executable, '-c', program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=slim_records.ROOT, **environment),
    )


def contents(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(str(folder))}


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp('digits') / 'new' / 'folder'
    assert digits.ensure(str(folder)) == str(folder)
    return folder


def test_every_digit_once_and_every_fifth_held_out(written):
    from sklearn.datasets import load_digits

    source = load_digits()
    assert sorted(os.listdir(str(written))) == FILES
    found = {split: slim_records.read(str(written), split) for split in ('train', 'validation')}
    assert [len(found[split]) for split in ('train', 'validation')] == [1438, 359]
    for split, examples in found.items():
        for example in examples:
            index = int(example['image/filename'].decode()[len('digit_') : -len('.png')])
            assert (index % 5 == 4) == (split == 'validation')
            assert example['image/class/label'] == source.target[index]
            assert example['pixels'].shape == (8, 8, 3)
            assert (
                np.abs(example['pixels'] * (16 / 255.0) - source.images[index][:, :, None]).max()
                < 0.04
            )
    assert (
        len({example['image/filename'] for examples in found.values() for example in examples})
        == 1797
    )
    assert (written / 'labels.txt').read_text().splitlines()[::9] == ['0:zero', '9:nine']


def test_written_once_to_the_cache_without_tensorflow(tmp_path):
    code = (
        'import sys; from mobilenet import environment; environment.require = lambda: None\n'
        'sys.modules["tensorflow"] = None'
    )
    process = start(None, code, XDG_CACHE_HOME=str(tmp_path))
    folder = tmp_path / 'mobilenet-tf' / 'digits'
    assert process.communicate()[0].decode().strip() == str(folder)
    before = {name: (folder / name).stat().st_mtime_ns for name in FILES}
    start(
        None, code + '; sys.modules["sklearn"] = None', XDG_CACHE_HOME=str(tmp_path)
    ).communicate()
    assert {name: (folder / name).stat().st_mtime_ns for name in os.listdir(str(folder))} == before


def test_processes_at_once_and_killed_ones(written, tmp_path):
    """Two are killed while they write; what four others leave is whole each time."""
    slow = (
        'import time; from data import tfrecord; frame, left = tfrecord.frame, [None] * 500\n'
        'tfrecord.frame = lambda data: (left.pop() if left else time.sleep(600), frame(data))[1]'
    )
    doomed = [start(tmp_path, slow) for _ in range(2)]
    deadline = time.time() + 240
    while (
        len([name for name in os.listdir(str(tmp_path)) if name.startswith(digits.PARTIAL_PREFIX)])
        < 2
    ):
        assert time.time() < deadline
        time.sleep(0.01)
    for process in doomed:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not digits._is_whole(str(tmp_path)) and 'labels.txt' not in os.listdir(str(tmp_path))
    processes = [start(tmp_path) for _ in range(4)]
    for process in processes:
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr.decode()
    left = dict(contents_without_partial(tmp_path).items())
    assert left == contents(written)
    old = time.time() - 2 * digits.STALE_SECONDS
    for name in os.listdir(str(tmp_path)):
        if name.startswith(digits.PARTIAL_PREFIX):
            os.utime(str(tmp_path / name), (old, old))
    os.remove(str(tmp_path / 'labels.txt'))
    digits.ensure(str(tmp_path))
    assert sorted(os.listdir(str(tmp_path))) == FILES


def contents_without_partial(folder):
    return {
        name: (folder / name).read_bytes()
        for name in os.listdir(str(folder))
        if not name.startswith(digits.PARTIAL_PREFIX)
    }


@pytest.mark.parametrize('damage', ['torn', 'empty', 'gone'])
def test_a_torn_set_is_written_anew(written, tmp_path, damage):
    digits.ensure(str(tmp_path))
    path = tmp_path / FILES[2]
    if damage == 'gone':
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 1000 if damage == 'torn' else 0])
    digits.ensure(str(tmp_path))
    assert contents(tmp_path) == contents(written)


def test_other_data_sets_are_left_alone(tmp_path):
    (tmp_path / 'train-00000-of-01024').write_bytes(b'')
    with pytest.raises(UsageError, match='another data set'):
        digits.ensure(str(tmp_path))
    assert os.listdir(str(tmp_path)) == ['train-00000-of-01024']
    (tmp_path / 'train-00000-of-01024').unlink()
    (tmp_path / 'labels.txt').write_text('0:cat\n')
    with pytest.raises(UsageError, match='another data set'):
        digits.ensure(str(tmp_path))
    (tmp_path / 'file').write_text('')
    with pytest.raises(UsageError, match='cannot write'):
        digits.ensure(str(tmp_path / 'file' / 'digits'))
