"""Saving step by step: what is on the disk when, what an earlier kill or a person left in the way.

Real files; of the system's calls only their order is written down.
"""

import os
import shutil

import pytest
import tensorflow as tf

from mobilenet import checkpoints
from mobilenet.checkpoints import checksums, names
from tests.helpers.small_run import Run


def steps(folder):
    return [names.step_of(p) for p in names.in_folder(str(folder))]


def open_files():
    return len(os.listdir('/proc/self/fd'))


def test_all_is_on_the_disk_before_the_index_is_in_its_place(tmp_path, monkeypatch):
    """After a power cut a checkpoint with an index is whole; see names.py."""
    run = Run(tmp_path)
    run.save(10)
    synced, renamed, before = [], [], open_files()
    fsync, rename = os.fsync, os.rename

    def note_sync(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def note_rename(source, target):
        here = os.path.dirname(source)
        wanted = [here] + [os.path.join(here, f) for f in os.listdir(here)]
        renamed.append((os.path.basename(target), {os.stat(path).st_ino for path in wanted}))
        if len(renamed) == 1:
            assert renamed[0][1] <= set(synced)
        rename(source, target)
        synced.clear()

    monkeypatch.setattr(os, 'fsync', note_sync)
    monkeypatch.setattr(os, 'rename', note_rename)
    run.save(20)
    assert len(renamed) == 4 and renamed[-1][0] == 'model.ckpt-20.index'
    assert os.stat(str(tmp_path)).st_ino in synced  # after the last: the names, too
    assert open_files() == before


def test_half_a_checkpoint_of_a_killed_save_is_in_nobodys_way(tmp_path):
    run = Run(tmp_path)
    whole = {os.path.basename(f)[len('model.ckpt-10') :] for f in names.files_of(run.save(10))}
    half = tmp_path / '.saving'
    half.mkdir()
    for name in ('model.ckpt-20.data-00000-of-00002', 'model.ckpt-20.eval.json'):
        (half / name).write_bytes(b'half of it')
    path = run.save(20)
    assert {f[len(path) :] for f in names.files_of(path)} == whole
    assert not half.exists() and Run(tmp_path).resume() == (20, 20)


def test_a_folder_that_is_gone_is_no_crash(tmp_path):
    run = Run(tmp_path / 'run')
    run.save(10)
    shutil.rmtree(run.folder)
    (tmp_path / 'run').write_bytes(b'another thing of this name')
    with pytest.raises(checkpoints.SaveError, match='model.ckpt-20 could not be saved: Not a dir'):
        run.save(20)


def test_values_of_a_repaired_list_of_checksums_are_written_anew(tmp_path):
    """The data is damaged, its checksum is of the damaged: TensorFlow alone notices."""
    run = Run(tmp_path)
    path = run.save(10)
    with open(path + '.data-00000-of-00001', 'r+b') as f:
        f.write(b'\xff' * 4)
    checksums.write(path, [f for f in names.files_of(path) if not f.endswith('.sha256')])
    assert run.save(10) == path and Run(tmp_path).resume() == (10, 10)


def test_the_same_bytes_under_another_name_are_other_values(tmp_path):
    Run(tmp_path).save(10)
    path = Run(tmp_path, optimizer='RMSProp').save(10)
    assert 'w/RMSProp' in dict(tf.train.list_variables(path))


def test_a_checkpoint_that_a_person_removed_is_not_among_those_kept(tmp_path):
    run = Run(tmp_path, keep=2)
    for step in (1, 2):
        run.save(step)
    for path in names.files_of(names.prefix_of(str(tmp_path), 2)):
        os.remove(path)
    run.save(3)
    assert steps(tmp_path) == [1, 3]
    listed = tf.train.get_checkpoint_state(str(tmp_path)).all_model_checkpoint_paths
    assert [names.step_of(path) for path in listed] == [1, 3]


def test_the_only_one_kept_may_be_saved_again(tmp_path):
    run = Run(tmp_path, keep=1)
    for _ in range(2):
        run.save(5)
        assert steps(tmp_path) == [5]


def test_the_current_folder_may_be_the_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run('.', keep=1)
    assert run.save(1, facts=False) == './model.ckpt-1'  # no facts: the file `checkpoint` tells
    again = Run('.', keep=1)
    assert again.resume() == (1, 1)
    again.save(2)
    assert steps('.') == [2]


def test_of_what_is_torn_only_what_is_newer_than_the_one_gone_on_from_is_told(tmp_path):
    """model.ckpt-020: a person's copy, cut short."""
    Run(tmp_path).save(20)
    for name in ('010', '020', '30'):
        (tmp_path / f'model.ckpt-{name}.index').write_bytes(b'')
    run = Run(tmp_path)
    assert run.resume() == (20, 20)
    assert len(run.said) == 1 and '/model.ckpt-30: ' in run.said[0]


def test_what_is_torn_between_two_whole_ones_is_not_told(tmp_path):
    for step in (10, 20, 30):
        Run(tmp_path).save(step)
    os.remove(str(tmp_path / 'model.ckpt-20.index'))
    run = Run(tmp_path)
    assert run.resume() == (30, 30) and not run.said
