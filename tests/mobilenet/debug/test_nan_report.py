"""The report after a step that was not finite, on a small network: whose it is, and what."""

import json
import os
import types

import numpy as np
import pytest
import tensorflow as tf

from mobilenet.debug import nan_report
from tests.helpers.steps import StepRun, settings


class Graph:
    """A TrainingGraph whose step is run on a batch that is fed."""

    def __init__(self, built):
        self.built, self.step, self.state = built, built.step, built.state

    def run_step(self, sess, fetches, batch):
        return None, sess.run(fetches, {self.built.feed: batch})


@pytest.fixture(scope='module')
def built():
    with tf.Graph().as_default():
        return StepRun(settings())


@pytest.fixture
def look(built, tmp_path):
    """A function: images, size of the world -> (the line, whether it is this rank's), sheets."""

    def look(images, world_size=1, broken=None):
        pipeline = types.SimpleNamespace(
            records=lambda batch: [10 * batch + i for i in range(4)], describe='record {}'.format
        )
        config = types.SimpleNamespace(model_name='mobilenet_v1_025', train_dir=str(tmp_path))
        device = types.SimpleNamespace(when_all_finite=' (as this device says it)')
        run = types.SimpleNamespace(
            config=config,
            pipeline=pipeline,
            device=device,
            batch=3,
            rank=world_size - 1,
            world_size=world_size,
        )
        sheets = []
        with built.sess.graph.as_default():
            built.begin()
            built.begin()
            for variable in tf.trainable_variables():
                if variable.op.name == broken:
                    value = np.zeros(variable.shape.as_list())
                    value.flat[0] = np.inf
                    variable.load(value, built.sess)
            found = nan_report.look(
                run, Graph(built), built.sess, images, lambda *args: sheets.append(args)
            )
        return found, sheets

    return look


def test_a_batch_that_is_finite_when_run_again_is_another_ranks(built, look, tmp_path):
    (text, mine), sheets = look(built.images)
    assert not mine and not sheets and os.listdir(str(tmp_path)) == []
    assert text.startswith('loss or gradient not finite at batch 3: ')
    assert 'is finite (record 30 … record 33) (as this device says it); the weights are' in text


def test_an_image_with_a_nan_is_named_with_its_record(built, look, tmp_path):
    images = built.images.copy()
    images[2, 5, 5, 1] = np.nan
    (text, mine), ((path, shown, captions, title),) = look(images, world_size=2)
    folder = os.path.join(str(tmp_path), 'nan_step_000003_rank_1')
    assert mine and f'image 2 has pixels that are not finite: record 32; dump in {folder}' in text
    assert path == os.path.join(folder, 'batch.png') and title == 'batch 3'
    assert [caption.endswith(' NaN') for caption in captions] == [False, False, True, False]
    np.testing.assert_array_equal(np.load(os.path.join(folder, 'images.npy')), images)
    np.testing.assert_array_equal(np.load(os.path.join(folder, 'labels.npy')), built.labels)
    with open(os.path.join(folder, 'records.jsonl')) as f:
        lines = [json.loads(line) for line in f]
    assert lines[2] == {
        'image': 2,
        'label': int(built.labels[2]),
        'record': 'record 32',
        'finite': False,
    }
    assert [line['finite'] for line in lines] == [True, True, False, True]


def test_finite_images_and_a_weight_that_is_not(built, look, tmp_path):
    broken = 'MobilenetV1/Conv2d_4_pointwise/weights'
    (text, mine), _ = look(built.images, broken=broken)
    first = 'weight:Conv2d_4_pointwise/weights'
    assert mine and f'the images are finite, {first} is the first that is not' in text
    assert 'batch of record 30 … record 33' in text and 'nan_step_000003;' in text
