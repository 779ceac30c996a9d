"""Checkpoints under damage: what is found, what a run goes on from, what is kept.

Small graphs in one process; damage is done to the bytes.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import checkpoints
from mobilenet.checkpoints import names, position, store
from mobilenet.errors import UsageError
from tests.helpers.small_run import Run

ODD_NAME = os.fsdecode(b'a [b] * {c} \xe4\xbd\xa0 \xff')


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints of steps 10, 20 and 30."""
    run = Run(tmp_path / ODD_NAME)
    for step in (10, 20, 30):
        run.save(step)
    return run.folder


def change(path, how):
    with open(path, 'rb') as f:
        data = bytearray(f.read())
    if how == 'flipped':
        data[len(data) // 2] ^= 4
    elif how == 'cut':
        data = data[: len(data) // 2]
    elif how == 'empty':
        data = b''
    elif how == 'garbage':
        data = os.urandom(len(data))
    with open(path, 'wb') as f:
        f.write(data)


def steps(folder):
    return [names.step_of(p) for p in names.in_folder(folder)]


def test_files_of_a_checkpoint_in_a_folder_of_any_name(saved):
    assert sorted(f for f in os.listdir(saved) if '-30' in f or f[0] == '.') == [
        'model.ckpt-30.data-00000-of-00001',
        'model.ckpt-30.index',
        'model.ckpt-30.json',
        'model.ckpt-30.sha256',
    ]
    checked = subprocess.run(
        ['sha256sum', '--check', '--strict', 'model.ckpt-30.sha256'], cwd=saved, capture_output=True
    )
    assert checked.returncode == 0 and checked.stdout.count(b': OK') == 3
    assert Run(saved).resume() == (30, 30)
    assert checkpoints.batches_of(names.prefix_of(saved, 20)) == 20


def test_a_checkpoint_of_an_odd_name_is_read(saved):
    for path in names.files_of(names.prefix_of(saved, 20)):
        os.rename(path, path.replace('model.ckpt-20', 'best [1] *'))
    prefix = checkpoints.resolve(os.path.join(saved, 'best [1] *.index'))
    assert checkpoints.batches_of(prefix) == 20 and len(checkpoints.check(prefix)) == 5


@pytest.mark.parametrize(
    'hint',
    [
        None,
        b'',
        b'model_checkpoint_pa',
        b'\x00\xff\x80garbage',
        b'model_checkpoint_path: "/gone/model.ckpt-20"\n',
        b'model_checkpoint_path: "model.ckpt-77"\n',
        b'model_checkpoint_path: 7\n',
        b'[' * 100000,
        b'model_checkpoint_path: "model.ckpt-20\\',
        'folder',
        'fifo',
    ],
    ids=[str(n) for n in range(11)],
)
def test_the_file_checkpoint_is_a_hint_only(saved, hint):
    path = os.path.join(saved, 'checkpoint')
    os.remove(path)
    if hint == 'folder':
        os.mkdir(path)
    elif hint == 'fifo':
        os.mkfifo(path)
    elif hint is not None:
        with open(path, 'wb') as f:
            f.write(hint)
    run = Run(saved)
    assert run.resume() == (30, 30) and not run.said


@pytest.mark.parametrize('absolute', [False, True])
def test_a_person_may_name_an_older_one(saved, absolute):
    named = names.prefix_of(saved, 20) if absolute else 'model.ckpt-20'
    with open(os.path.join(saved, 'checkpoint'), 'wb') as f:
        f.write(b'model_checkpoint_path: "%s"\n' % os.fsencode(named))
    run = Run(saved, keep=2)
    assert run.resume() == (20, 20)
    assert 'model.ckpt-20' in run.said[0] and 'model.ckpt-30' in run.said[0]
    run.save(25)  # what comes after is of this way, and a resume goes on with it
    assert steps(saved) == [20, 25] and Run(saved).resume() == (25, 25)


def test_a_kill_after_the_hint_and_before_the_checkpoint(saved):
    names.write_hint(saved, [names.prefix_of(saved, step) for step in (10, 20, 30, 40)])
    run = Run(saved)
    assert run.resume() == (30, 30) and not run.said


@pytest.mark.parametrize('suffix', ['index', 'data-00000-of-00001', 'json', 'sha256'])
@pytest.mark.parametrize('how', ['flipped', 'cut', 'empty', 'garbage'])
def test_damage_is_named_and_the_one_before_is_taken(saved, suffix, how):
    name = f'model.ckpt-30.{suffix}'
    change(os.path.join(saved, name), how)
    run = Run(saved)
    assert run.resume() == (20, 20)
    assert name in run.said[0] and len(run.said) == 1
    run.save(30)
    assert Run(saved).resume() == (30, 30)


@pytest.mark.parametrize('suffix', ['index', 'data-00000-of-00001'])
@pytest.mark.parametrize('how', ['flipped', 'cut', 'empty', 'garbage'])
def test_damage_without_checksums_is_seen_as_well(saved, suffix, how):
    """Folders of older runs have no checksums: TensorFlow's own are inside. It has none over the
    index's unused bytes, and over none that matter.
    """
    for step in (10, 20, 30):
        os.remove(names.prefix_of(saved, step) + '.sha256')
        os.remove(names.prefix_of(saved, step) + '.json')
    change(os.path.join(saved, f'model.ckpt-30.{suffix}'), how)
    run = Run(saved)
    assert run.resume() == (20, 20) and 'model.ckpt-30' in run.said[0]


@pytest.mark.parametrize('suffix', ['index', 'data-00000-of-00001'])
def test_a_checkpoint_with_a_file_missing_is_none(saved, suffix):
    os.remove(os.path.join(saved, f'model.ckpt-30.{suffix}'))
    run = Run(saved)
    assert run.resume() == (20, 20) and len(run.said) == 1
    assert '/model.ckpt-30: ' in run.said[0] and run.said[0].endswith('; going on without it')
    for step in (10, 20):
        os.remove(names.prefix_of(saved, step) + '.index')
    assert Run(saved).resume() == (None, 0)  # as after a kill in the first save


def test_all_damaged_is_no_new_start(saved):
    for step in (10, 20, 30):
        change(names.prefix_of(saved, step) + '.data-00000-of-00001', 'cut')
    with pytest.raises(UsageError, match='every checkpoint there is damaged'):
        Run(saved).resume()
    assert steps(saved) == [10, 20, 30]


def test_an_empty_folder_is_a_new_start(tmp_path):
    assert Run(tmp_path).resume() == (None, 0)


def test_keeps_the_newest_and_the_best(saved):
    position.mark(names.prefix_of(saved, 20), {'top1': 0.9})
    position.mark(names.prefix_of(saved, 30), {'top1': 0.8})
    position.mark(names.prefix_of(saved, 10), {'top1': float('nan')})
    run = Run(saved, keep=2, keep_best=1)
    run.resume()
    for step in (40, 50, 60):
        run.save(step)
    assert steps(saved) == [20, 50, 60]
    assert not [f for f in os.listdir(saved) if '-30' in f or '-10' in f]


def test_what_another_run_wrote_is_never_deleted(saved, tmp_path):
    other = Run(tmp_path / 'other', run_id='other')
    for step in (10, 20):
        other.save(step)
    with open(os.path.join(saved, 'checkpoint'), 'w') as f:  # as an edited file, or a copied one
        f.write('model_checkpoint_path: "model.ckpt-30"\n')
        for step in (10, 20):
            f.write(f'all_model_checkpoint_paths: "{names.prefix_of(other.folder, step)}"\n')
    for name in ('model.ckpt-5.index', 'model.ckpt-5.data-00000-of-00001', 'mine.ckpt-1.index'):
        with open(os.path.join(saved, name), 'wb') as f:
            f.write(b'a person put it here')
    run = Run(saved, keep=1)
    run.resume()
    run.save(40)
    assert steps(other.folder) == [10, 20]
    assert steps(saved) == [5, 40] and os.path.exists(os.path.join(saved, 'mine.ckpt-1.index'))


def test_a_folder_of_before_checksums_is_kept_short_as_well(tmp_path):
    """As tf.train.Saver writes it: no facts, no checksums, names in the file `checkpoint`."""
    run = Run(tmp_path)
    for step in (1, 2, 3):
        run.step.load(step, run.sess)
        run.weights.load(np.full([100, 3], step, np.float32), run.sess)
        run.plain_saver.save(run.sess, str(tmp_path / names.NAME), step, write_meta_graph=False)
    run.plain_saver.set_last_checkpoints([])
    os.remove(str(tmp_path / 'checkpoint'))
    run.plain_saver.recover_last_checkpoints([str(tmp_path / f'model.ckpt-{n}') for n in (2, 3)])
    run.plain_saver.save(run.sess, str(tmp_path / names.NAME), 3, write_meta_graph=False)
    again = Run(tmp_path, keep=2)
    assert again.resume() == (3, 3)
    again.save(4)
    assert steps(str(tmp_path)) == [1, 3, 4]  # 1 is in no list: who knows whose it is
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / 'model.ckpt-4')


def test_a_full_disk_changes_nothing_and_the_next_try_may_work(saved, monkeypatch):
    run = Run(saved, keep=1)
    run.resume()
    before = sorted(os.listdir(saved))

    def full(*unused, **also):
        raise OSError(28, 'No space left on device')

    for module, function in ((store.checksums, 'write'), (names.text, 'write_text')):
        with monkeypatch.context() as patch:
            patch.setattr(module, function, full)
            with pytest.raises(checkpoints.SaveError, match='No space left on device'):
                run.save(40)
        assert sorted(os.listdir(saved)) == before
    run.save(40)
    assert steps(saved) == [40]


def test_the_disk_itself_is_full(tmp_path):
    """A limit of the system behind the data file: TensorFlow's own error, not ours."""
    code = (
        'import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n'
        'from tests.helpers.small_run import Run\n'
        'from mobilenet import checkpoints\n'
        f'run = Run({str(tmp_path)!r})\n'
        'try:\n    run.save(1)\n'
        'except checkpoints.SaveError as error:\n    print("SAID", error)\n'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True
    )
    assert 'SAID' in done.stdout and 'File too large' in done.stdout, done.stdout + done.stderr
    assert os.listdir(str(tmp_path)) == []


def test_another_optimizer_without_its_slots(saved):
    with pytest.raises(UsageError):
        Run(saved, optimizer='Adam').resume()
    run = Run(saved, optimizer='Adam')
    assert run.resume(may_lack=True) == (30, 30)
    assert not run.sess.run(run.slot).any()


def test_an_average_that_was_not_there_begins_at_the_weights(tmp_path):
    run = Run(tmp_path)
    run.save(10)
    before = tf.train.load_checkpoint(str(tmp_path / 'model.ckpt-10'))
    with tf.Graph().as_default(), tf.Session() as sess:
        values = [
            tf.Variable(before.get_tensor(name), name=name)
            for name in ('w', 'global_step', 'skipped_steps', 'w/Momentum')
        ]
        sess.run(tf.global_variables_initializer())
        tf.train.Saver({v.op.name: v for v in values}).save(sess, str(tmp_path / 'model.ckpt-20'))
    for variable in (run.ema, run.weights):
        variable.load(np.ones([100, 3], np.float32), run.sess)
    run.checkpointer.restore(run.sess, may_lack=True)
    assert (run.sess.run(run.ema) == 10).all()
