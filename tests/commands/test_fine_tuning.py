"""Training from weights that are there: what is frozen stays, what does not fit is told."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from mobilenet.weights import network
from tests.helpers import runs, slim_network

SHORT = ['--max_train_steps=10', '--batch_size=32']
QUICK = runs.environment(whole_network=True)
IMAGES = np.random.RandomState(3).uniform(-1, 1, [3, 32, 32, 3]).astype(np.float32)


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    return slim_network.write(tmp_path_factory.mktemp('published'), IMAGES, 21)


@pytest.fixture(scope='module')
def head_only(published, tmp_path_factory):
    """The head alone trained on the frozen graph's weights; (folder, the finished process)."""
    folder = tmp_path_factory.mktemp('head')
    flags = [f'--checkpoint_path={published.frozen}', '--trainable_scopes=Logits']
    done = runs.train(folder, *SHORT, *flags, '--learning_rate=0.01', env=QUICK)
    return folder, done


def test_what_is_frozen_stays_to_the_bit(published, head_only):
    before = network.load(published.frozen).values
    after = runs.weights(head_only[0], 10)
    frozen = [name for name in before if '/Logits/' not in name]
    assert len(frozen) == 135
    for name in frozen:
        np.testing.assert_array_equal(after[name], before[name])
        np.testing.assert_array_equal(after[f'{name}/ExponentialMovingAverage'], before[name])
    head = 'MobilenetV1/Logits/Conv2d_1c_1x1/weights'
    assert after[head].shape == (1, 1, 256, 10)
    assert not np.array_equal(after[head], after[f'{head}/ExponentialMovingAverage'])
    slots = [name for name in after if name.endswith('/Momentum')]
    assert sorted(slots) == [head.replace('weights', 'biases/Momentum'), f'{head}/Momentum']


def test_the_old_head_gives_the_old_logits(published, head_only):
    before = network.load(published.frozen)
    values = dict(before.values)
    for name, value in network.load(str(head_only[0])).values.items():
        if '/Logits/' not in name:
            values[name] = value
    results = []
    for trained in (before, before._replace(values=values)):
        with tf.Graph().as_default(), tf.Session() as sess:
            logits, assign = network.build(trained, tf.constant(IMAGES))
            assign(sess)
            results.append(sess.run(logits))
    np.testing.assert_array_equal(*results)
    assert np.abs(results[0] - published.averaged).max() < 1e-5 * np.abs(results[0]).max()


def test_another_number_of_classes_is_told(head_only):
    assert 'the last layer starts anew: 21 classes there, 10 here' in head_only[1].stderr


def test_defaults_of_fine_tuning(head_only):
    with open(os.path.join(str(head_only[0]), 'config.json')) as file:
        config = json.load(file)
    assert (config['learning_rate'], config['moving_average_decay']) == (0.01, 0.99)


@pytest.mark.parametrize(
    'flags,words',
    [
        (['--trainable_scopes=Conv2d_1'], ['--trainable_scopes', 'Conv2d_1_depthwise']),
        (['--checkpoint_exclude_scopes=Logit'], ['--checkpoint_exclude_scopes', 'Logits']),
        (['--model_name=mobilenet_v2_035'], ['holds a mobilenet_v1_025', '--model_name=']),
    ],
)
def test_what_does_not_fit_is_refused(published, tmp_path, flags, words):
    given = [f'--train_dir={tmp_path}', f'--checkpoint_path={published.checkpoint}', *flags]
    done = runs.served('train_loop.py', [*runs.SMALL, *SHORT, *given], QUICK, 500)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr


def test_averages_of_a_warm_start_are_trusted(published, tmp_path):
    """After one step a batch norm's mean has gone a tenth of its way, not nine tenths."""
    flags = [f'--checkpoint_path={published.checkpoint}', '--learning_rate=1e-9']
    runs.train(tmp_path, '--batch_size=32', '--max_train_steps=1', *flags, env=QUICK)
    after = runs.weights(tmp_path, 1)
    before = network.load(published.checkpoint, use_ema=False).values
    name = 'MobilenetV1/Conv2d_0/BatchNorm/moving_mean'
    moved = np.abs(after[name] - before[name]).max()
    assert 0.01 < moved < 0.3
