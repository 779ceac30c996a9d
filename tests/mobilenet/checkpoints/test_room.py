"""Whether a folder can take a run's files, and what a killed run leaves in it."""

import os
import resource
import types

import pytest

from mobilenet.checkpoints import room
from mobilenet.errors import UsageError


def test_a_folder_that_can_be_written_to_stays_as_it_was(tmp_path, monkeypatch):
    synced = []

    def fsync(descriptor):
        synced.append((os.listdir(str(tmp_path)), os.fstat(descriptor).st_size))

    monkeypatch.setattr(room.os, 'fsync', fsync)
    room.check_writable(str(tmp_path))
    ((names, size),) = synced  # what it asks for is on the disk, not in a buffer
    assert len(names) == 1 and names[0].startswith('.') and size > 0
    assert os.listdir(str(tmp_path)) == []


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    missing = str(tmp_path / 'missing')
    with pytest.raises(UsageError) as raised:
        room.check_writable(missing)
    assert str(raised.value) == (
        f'--train_dir={missing} cannot be written to: No such file or directory'
    )

    def full(descriptor):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(room.os, 'fsync', full)
    with pytest.raises(UsageError, match='No space left on device'):
        room.check_writable(str(tmp_path))
    assert os.listdir(str(tmp_path)) == []


def test_room_for_a_checkpoint_to_the_byte(tmp_path, monkeypatch):
    """10 free blocks for everybody of 500000 bytes; 20 with those that are root's."""
    disk = types.SimpleNamespace(
        f_bavail=10, f_bfree=20, f_frsize=500000, f_bsize=4096, f_blocks=99
    )
    monkeypatch.setattr(room.os, 'statvfs', lambda folder: disk)
    limits = {}
    monkeypatch.setattr(
        room.resource, 'getrlimit', lambda kind: (limits[kind], resource.RLIM_INFINITY)
    )
    limits[resource.RLIMIT_FSIZE] = resource.RLIM_INFINITY
    room.check_room(str(tmp_path), 5000000)
    with pytest.raises(UsageError) as raised:
        room.check_room(str(tmp_path), 5000001)
    said = str(raised.value)
    assert said.startswith(
        f'--train_dir={tmp_path}: a checkpoint takes 5.0 MB, and 5.0 MB are free'
    )
    limits[resource.RLIMIT_FSIZE] = 2340000
    room.check_room(str(tmp_path), 2340000)
    with pytest.raises(UsageError) as raised:
        room.check_room(str(tmp_path), 2340001)
    said = str(raised.value)
    assert said.startswith(f'--train_dir={tmp_path}: a checkpoint takes 2.3 MB')
    assert 'lets a file have 2.3 MB (ulimit -f)' in said


LEFT = [
    'model.ckpt-3.index.tempstate123',
    'model.ckpt-30.data-00000-of-00001.tempstate5',
    'checkpoint.tmp' + '0a' * 16,
    'checkpoint.tmp',
    'checkpoint.partial-77',
    'config.json.tmp',
    'run.json.partial-1',
    'metrics.jsonl.partial-12',
]
KEPT = [
    'model.ckpt-3.index',
    'model.ckpt-3.index.tempstate',
    'model.ckpt-x.index.tempstate1',
    'my.model.ckpt-3.index.tempstate1',
    'checkpoint',
    'checkpoint.tmp' + '0a' * 15,
    'metrics.jsonl',
    'metrics.jsonl.partial-',
    'metrics.jsonl.tmp.old',
    'notes.tmp',
]


def test_leftovers_of_a_killed_run_go_and_nothing_else(tmp_path):
    for name in LEFT + KEPT:
        (tmp_path / name).write_text('x')
    saving = tmp_path / '.saving'
    saving.mkdir()
    (saving / 'model.ckpt-4.index').write_text('x')
    (tmp_path / 'run.json.tmp').mkdir()
    assert room.remove_leftovers(str(tmp_path)) == sorted(LEFT + ['.saving'])
    assert sorted(os.listdir(str(tmp_path))) == sorted(KEPT + ['run.json.tmp'])


def test_a_link_to_another_folder_is_not_followed(tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'file').write_text('x')
    os.symlink(str(tmp_path / 'mine'), str(tmp_path / 'run' / '.saving'))
    assert room.remove_leftovers(str(tmp_path / 'run')) == []
    assert os.listdir(str(tmp_path / 'mine')) == ['file']
    os.remove(str(tmp_path / 'run' / '.saving'))
    (tmp_path / 'run' / '.saving').write_text('a file, no folder of ours')
    assert room.remove_leftovers(str(tmp_path / 'run')) == []


def test_what_cannot_be_removed_is_passed_over(tmp_path, monkeypatch):
    for name in LEFT[:3]:
        (tmp_path / name).write_text('x')
    remove = os.remove

    def refuse(path):
        if path.endswith(LEFT[2]):  # the first of them
            raise OSError(1, 'Operation not permitted')
        remove(path)

    monkeypatch.setattr(room.os, 'remove', refuse)
    assert room.remove_leftovers(str(tmp_path)) == sorted(LEFT[:2])
    assert os.listdir(str(tmp_path)) == [LEFT[2]]
