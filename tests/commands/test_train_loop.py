"""Whole runs of train_loop.py on the digits: the same bits however it loops, stops and resumes;
what a person gets.
"""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from tests.helpers import runs

STEPS = 60


@pytest.fixture(scope='module')
def reference(tmp_path_factory):
    """A run that went through, one iteration a loop, with a checkpoint on the way."""
    folder = tmp_path_factory.mktemp('reference')
    done = runs.train(
        folder,
        '--max_train_steps=60',
        '--iterations_per_loop=1',
        '--save_every_steps=30',
        '--log_every_steps=5',
        '--summary_images_at_step=2',
    )
    return folder, done


@pytest.mark.parametrize('iterations', [7, 60])
def test_same_weights_for_any_iterations_per_loop(reference, tmp_path, iterations):
    """And a loop reports its mean, not its last iteration."""
    runs.train(
        tmp_path, '--max_train_steps=60', f'--iterations_per_loop={iterations}', '--data_threads=1'
    )
    runs.assert_same_bits(runs.weights(reference[0], STEPS), runs.weights(tmp_path, STEPS))
    lines = runs.metrics(tmp_path)
    assert [line['step'] for line in lines] == [*range(iterations, STEPS, iterations), STEPS]
    losses = [line['loss'] for line in runs.metrics(reference[0])]
    means = [np.mean(losses[i : i + iterations]) for i in range(0, STEPS, iterations)]
    np.testing.assert_allclose([line['loss'] for line in lines], means, rtol=1e-5)


def test_files_of_a_run(reference):
    folder, done = reference
    lines = runs.metrics(folder)
    assert [line['step'] for line in lines] == list(range(1, STEPS + 1))
    assert set(lines[0]) == {
        'step',
        'epoch',
        'loss',
        'total_loss',
        'accuracy',
        'learning_rate',
        'loss_scale',
        'skipped_steps',
        'images_per_sec',
        'time',
    }
    assert lines[-1]['epoch'] == pytest.approx(STEPS * 8 / 1438)
    config = json.load(open(os.path.join(str(folder), 'config.json')))
    assert (
        config['batch_size'] == 8
        and config['iterations_per_loop'] == 1
        and config['device'] == 'host'
    )
    names = os.listdir(str(folder))
    assert {'checkpoint', 'train.log', 'model.ckpt-30.index', 'model.ckpt-60.index'} <= set(names)
    assert any(n.startswith('events.out.tfevents') for n in names)
    assert done.stderr.count('step ') >= 4 and '\r' not in done.stderr  # plain lines: no terminal


def start(folder, *arguments):
    return subprocess.Popen(
        runs.command('train_loop.py', *runs.SMALL, f'--train_dir={folder}', *arguments),
        env=runs.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )


def wait_for(condition, process, seconds=400):
    end = time.time() + seconds
    while not condition():
        assert process.poll() is None and time.time() < end, process.stderr.read()
        time.sleep(0.05)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_loop_saves_and_the_same_command_goes_on(reference, tmp_path, number):
    arguments = ['--max_train_steps=60', '--iterations_per_loop=4']
    process = start(tmp_path, *arguments)
    wait_for(
        lambda: (
            os.path.exists(str(tmp_path / 'metrics.jsonl')) and len(runs.metrics(tmp_path)) >= 2
        ),
        process,
    )
    process.send_signal(number)
    _, stderr = process.communicate(timeout=400)
    assert process.returncode == 0
    assert 'the same command goes on from there' in stderr.splitlines()[-1]
    stopped_at = runs.metrics(tmp_path)[-1]['step']
    assert stopped_at % 4 == 0 and stopped_at < 60
    if number == signal.SIGINT:
        return  # going on is the same for both
    runs.train(tmp_path, *arguments)
    runs.assert_same_bits(runs.weights(reference[0], STEPS), runs.weights(tmp_path, STEPS))
    steps = [line['step'] for line in runs.metrics(tmp_path)]
    assert steps == sorted(set(steps))


def test_kill_9_after_a_checkpoint_and_resume(reference, tmp_path):
    arguments = ['--max_train_steps=60', '--iterations_per_loop=2', '--save_every_steps=4']
    process = start(tmp_path, *arguments)
    wait_for(lambda: os.path.exists(str(tmp_path / 'checkpoint')), process)
    process.kill()
    process.communicate()
    runs.train(tmp_path, *arguments)
    runs.assert_same_bits(runs.weights(reference[0], STEPS), runs.weights(tmp_path, STEPS))
    assert [line['step'] for line in runs.metrics(tmp_path)] == list(range(2, STEPS + 1, 2))


def test_keep_checkpoints(tmp_path):
    runs.train(
        tmp_path,
        '--max_train_steps=6',
        '--iterations_per_loop=1',
        '--save_every_steps=1',
        '--keep_checkpoints=2',
        env=runs.environment(),
    )
    assert sorted(n for n in os.listdir(str(tmp_path)) if n.endswith('.index')) == [
        'model.ckpt-5.index',
        'model.ckpt-6.index',
    ]


@pytest.fixture(scope='module')
def begun(tmp_path_factory):
    """A run whose one step had a learning rate of 0: its weights are the initial ones."""
    folder = tmp_path_factory.mktemp('begun')
    runs.train(folder, '--max_train_steps=1', '--warmup_epochs=1000')
    return runs.weights(folder, 1)


@pytest.mark.parametrize('scale,left', [('1e30', 1e30), ('dynamic:1e30', 1e30 / 8)])
def test_an_overflow_changes_nothing_but_the_loss_scale_and_the_count(begun, tmp_path, scale, left):
    """Float16 convolutions and a loss scale of 1e30: weights, slots, EMA and statistics stay as
    they began.
    """
    runs.train(
        tmp_path,
        '--max_train_steps=3',
        '--precision_mode=allow_mix_precision',
        '--loss_scale=' + scale,
    )
    after = runs.weights(tmp_path, 0)
    assert after['global_step'] == 0 and after['skipped_steps'] == 3
    assert after['loss_scale'] == pytest.approx(left, rel=1e-6)
    for name, value in after.items():
        if name.endswith(('/weights', '/depthwise_weights', '/gamma')):
            assert np.array_equal(value, begun[name]), name
            assert np.array_equal(value, after[name + '/ExponentialMovingAverage'])
        elif name.endswith(('moving_mean', '/Momentum', '/beta', '/biases')):
            assert not value.any(), name
        elif name.endswith('moving_variance'):
            assert (value == 1).all(), name
    assert runs.metrics(tmp_path)[-1]['loss'] is None


def test_float16_trains(tmp_path):
    runs.train(tmp_path, '--max_train_steps=10', '--precision_mode=allow_mix_precision')
    line = runs.metrics(tmp_path)[-1]
    assert (
        line['step'] > 0
        and line['step'] + line['skipped_steps'] == 10
        and np.isfinite(line['loss'])
    )
    assert line['loss_scale'] == 4096 / 2 ** line['skipped_steps']


def test_fine_tuning_takes_what_it_is_told(reference, tmp_path):
    folder, _ = reference
    runs.train(
        tmp_path,
        '--max_train_steps=2',
        f'--checkpoint_path={folder}',
        '--learning_rate=0.01',
        '--checkpoint_exclude_scopes=MobilenetV1/Logits',
        '--trainable_scopes=MobilenetV1/Logits',
        env=runs.environment(),
    )
    before, after = runs.weights(folder, STEPS), runs.weights(tmp_path, 2)
    body = 'MobilenetV1/Conv2d_1_pointwise/weights'
    assert np.array_equal(before[body], after[body])
    assert np.array_equal(before[body], after[body + '/ExponentialMovingAverage'])
    logits = 'MobilenetV1/Logits/Conv2d_1c_1x1/weights'
    assert not np.array_equal(before[logits], after[logits])
    assert body + '/Momentum' not in after and logits + '/Momentum' in after


def test_images_in_tensorboard(reference):
    import tensorflow as tf

    tags = {}
    for name in os.listdir(str(reference[0])):
        if name.startswith('events'):
            for event in tf.compat.v1.train.summary_iterator(os.path.join(str(reference[0]), name)):
                for value in event.summary.value:
                    tags.setdefault(value.tag.split('/')[0], []).append(event.step)
    assert tags['images'] == [2] * 8
    assert tags['loss'] == list(range(1, STEPS + 1))


def test_a_bad_record_is_named_and_the_steps_before_it_are_saved(tmp_path):
    """One flipped byte in a shard: exit status 2, one line with file and record; the same with skip
    goes through.
    """
    from data import digits

    folder = digits.ensure(str(tmp_path / 'digits'))
    shard = os.path.join(folder, 'train-00001-of-00002')
    with open(shard, 'r+b') as f:
        f.seek(-20, os.SEEK_END)
        byte = f.read(1)
        f.seek(-20, os.SEEK_END)
        f.write(bytes([byte[0] ^ 1]))
    arguments = [
        '--dataset_name=imagenet',
        '--dataset_dir=' + folder,
        '--batch_size=64',
        '--max_epoch=1',
        '--iterations_per_loop=4',
    ]
    plain = runs.environment()
    done = runs.train(tmp_path / 'stop', *arguments, env=plain, check=False)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert (
        'train-00001-of-00002' in last and 'record 718' in last and 'Traceback' not in done.stderr
    )
    assert any(n.endswith('.index') for n in os.listdir(str(tmp_path / 'stop')))
    done = runs.train(tmp_path / 'skip', *arguments, '--on_bad_record=skip', env=plain)
    assert 'skipped' in done.stderr and 'record 718' in done.stderr
