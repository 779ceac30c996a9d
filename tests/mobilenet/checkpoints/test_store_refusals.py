"""What a checkpoint must hold to be gone on from, and what saving again and clearing up leave."""

import os

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import checkpoints
from mobilenet.checkpoints import names, position, store
from mobilenet.errors import UsageError
from tests.helpers.small_run import Run

EMA = 'w/ExponentialMovingAverage'
SHAPES = {'w': [100, 3], EMA: [100, 3], 'w/Momentum': [100, 3]}
SHAPES.update(global_step=[], skipped_steps=[])


def write(folder, without=(), step=20, **shapes):
    """A checkpoint as another program might have left it, of ones."""
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = {
            name: tf.get_variable(
                name, shape, tf.int64 if not shape else tf.float32, tf.ones_initializer()
            )
            for name, shape in dict(SHAPES, **shapes).items()
            if name not in without
        }
        sess.run(tf.global_variables_initializer())
        path = os.path.join(str(folder), f'model.ckpt-{step}')
        tf.train.Saver(variables).save(sess, path, write_meta_graph=False, write_state=False)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp('run'))


def refused(run, folder, may_lack=False):
    run.checkpointer._folder = str(folder)
    with pytest.raises(UsageError) as raised:
        run.checkpointer.restore(run.sess, may_lack)
    return str(raised.value)


def test_another_networks_checkpoint_is_refused(run, tmp_path):
    write(tmp_path, w=[100, 4])
    path = tmp_path / 'model.ckpt-20'
    text = refused(run, tmp_path, may_lack=True)
    assert text.startswith(f'{path}: w has shape [100, 4], the network wants [100, 3]: ')
    assert text.endswith(': give another --train_dir')
    for name in ('w', 'global_step'):
        write(tmp_path, without=[name])
        text = refused(run, tmp_path, may_lack=True)
        assert text.startswith(f'{path}: no {name}: it is a ')
        assert text.endswith(': give another --train_dir')


def test_what_may_be_lacking_names_the_flag_that_allows_it(run, tmp_path):
    for name, flag in ((EMA, 'moving_average_decay'), ('w/Momentum', 'optimizer')):
        write(tmp_path, without=[name])
        text = refused(run, tmp_path)
        assert f': no {name}: ' in text and f'--allow_changed={flag} ' in text
    write(tmp_path, without=['skipped_steps'])
    assert 'no skipped_steps: ' in refused(run, tmp_path)


def test_batch_norm_statistics_belong_to_the_network(tmp_path):
    with tf.Graph().as_default(), tf.Session() as sess:
        for name in ('bn/moving_mean', 'bn/moving_mean/ExponentialMovingAverage', 'global_step'):
            tf.get_variable(name, [2], trainable=False)
        checkpointer = checkpoints.Checkpointer(str(tmp_path), 5)
        saver = tf.train.Saver(tf.global_variables('global_step'))
        sess.run(tf.global_variables_initializer())
        saver.save(sess, str(tmp_path / 'model.ckpt-1'), write_meta_graph=False, write_state=False)
        with pytest.raises(UsageError, match='no bn/moving_mean: it is a checkpoint of another'):
            checkpointer.restore(sess, may_lack=True)


def test_bytes_are_those_of_the_values(run):
    assert run.checkpointer.bytes == 3 * 100 * 3 * 4 + 2 * 8


def test_the_same_values_again_touch_no_file(tmp_path):
    run = Run(tmp_path)
    path = run.save(10)
    assert path == str(tmp_path / 'model.ckpt-10') and run.checkpointer.latest() == path
    inodes = {f: os.stat(f).st_ino for f in names.files_of(path)}
    position.mark(path, {'top1': 0.5})
    assert run.save(10) == path and position.top1(path) == 0.5
    assert {f: os.stat(f).st_ino for f in inodes} == inodes
    run.step.load(11, run.sess)
    run.checkpointer.save(run.sess, 10)  # other values: the mark of the old ones goes with them
    assert sorted(f[len(path) :] for f in names.files_of(path)) == [
        '.data-00000-of-00001',
        '.index',
        '.sha256',
    ]
    assert checkpoints.batches_of(path) == 11
    assert not [f for f in os.listdir(str(tmp_path)) if f.startswith('.')]


def test_what_cannot_be_removed_is_told_and_stays(tmp_path, monkeypatch):
    run = Run(tmp_path, keep=1)
    kept = [run.save(1)]
    remove = os.remove

    def refuse(path, **more):
        if path == kept[0] + '.index':
            raise OSError(1, 'Operation not permitted')
        remove(path, **more)

    monkeypatch.setattr(store.os, 'remove', refuse)
    run.save(2)
    run.save(3)
    assert run.said == [f'{kept[0]} could not be removed: Operation not permitted']
    assert [names.step_of(p) for p in names.in_folder(str(tmp_path))] == [1, 3]


def test_the_best_of_few_and_of_equals(tmp_path):
    run = Run(tmp_path, keep=1, keep_best=2)
    for step, top1 in ((1, 0.5), (2, 0.5), (3, 0.5), (4, 0.1), (5, 0.2)):
        position.mark(run.save(step), {'top1': top1})
    run.save(6)
    assert [names.step_of(p) for p in names.in_folder(str(tmp_path))] == [2, 3, 6]


def test_the_best_goes_as_any_other_where_nobody_asked_to_keep_it(tmp_path):
    run = Run(tmp_path, keep=1)
    position.mark(run.save(1), {'top1': 0.9})
    run.save(2)
    assert [names.step_of(p) for p in names.in_folder(str(tmp_path))] == [2]


def test_checkpoints_beyond_the_one_resumed_go_first(tmp_path):
    run = Run(tmp_path)
    for step in (10, 20, 30, 40):
        run.save(step)
    names.write_hint(str(tmp_path), [str(tmp_path / 'model.ckpt-20')])
    again = Run(tmp_path, keep=3)
    assert again.resume() == (20, 20)
    assert again.said[0].startswith(f'going on from {tmp_path / "model.ckpt-20"}: the file ')
    again.save(25)
    assert [names.step_of(p) for p in names.in_folder(str(tmp_path))] == [10, 20, 25]


def test_damage_that_is_told(tmp_path):
    path = Run(tmp_path).save(10)
    os.remove(path + '.sha256')
    with open(path + '.index', 'r+b') as f:
        f.truncate(5)
    with pytest.raises(checkpoints.Damaged, match=r'model.ckpt-10.index is damaged: [^;/]+$'):
        store.check(path)
    with pytest.raises(checkpoints.Damaged, match=r'model.ckpt-10.data-\* is damaged: '):
        store.read(path, ['w'])
    assert store._reason(OSError(28, 'No space left')) == 'No space left'
    assert store._reason(ValueError('/a/b: c; the reason\nmore')) == 'the reason'
    assert store._reason(ValueError()) == '' and store._reason(OSError('odd')) == 'odd'


def test_averages_that_lack_begin_at_their_weights_and_the_rest_is_as_saved(run, tmp_path):
    write(tmp_path, without=[EMA, 'w/Momentum'])
    run.checkpointer._folder = str(tmp_path)
    run.slot.load(np.full([100, 3], 7, np.float32), run.sess)
    run.checkpointer.restore(run.sess, may_lack=True)
    values = run.sess.run([run.weights, run.ema, run.slot, run.step, run.skipped])
    assert [np.unique(v).tolist() for v in values] == [[1], [1], [7], [1], [1]]
