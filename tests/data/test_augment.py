"""Augmentation against TensorFlow's own ops: distributions."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from data import augment

SAMPLES = 4000


def key(seed, epoch, record):
    return np.uint64(augment.key_of(seed, epoch, record))


def our_crops(height, width, boxes):
    return np.array(
        [
            augment.plan('inception_v2', 224, key(7, 0, i), height, width, boxes, True)[0]
            for i in range(SAMPLES)
        ],
        float,
    )


def tensorflow_crops(height, width, boxes):
    def sample(i, windows):
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            [height, width, 3],
            boxes[None],
            seed=3,
            min_object_covered=0.1,
            aspect_ratio_range=(0.75, 1.33),
            area_range=(0.05, 1.0),
            max_attempts=100,
        )
        return i + 1, windows.write(i, tf.concat([begin[:2], size[:2]], 0))

    with tf.Graph().as_default(), tf.Session() as session:
        windows = tf.while_loop(
            lambda i, _: i < SAMPLES,
            sample,
            [0, tf.TensorArray(tf.int32, SAMPLES)],
            back_prop=False,
        )[1]
        return session.run(windows.stack()).astype(float)


@pytest.mark.parametrize(
    'height, width, boxes',
    [
        (375, 500, [[0, 0, 1, 1]]),
        (375, 500, [[0.1, 0.6, 0.3, 0.8]]),
        (375, 500, [[0.5, 0.5, 0.5, 0.7], [0.7, 0.0, 1.0, 0.2], [0.0, 0.9, 0.05, 1.0]]),
        (60, 400, [[0, 0, 1, 1]]),
        (500, 90, [[0, 0, 0.5, 1]]),
        (9, 7, [[0, 0, 1, 1]]),
    ],
)
def test_crops_have_the_distribution_of_the_op(height, width, boxes):
    boxes = np.array(boxes, np.float32)
    ours, theirs = our_crops(height, width, boxes), tensorflow_crops(height, width, boxes)
    figures = {
        'area': lambda w: w[:, 2] * w[:, 3],
        'aspect': lambda w: w[:, 3] / w[:, 2],
        'y': lambda w: w[:, 0],
        'x': lambda w: w[:, 1],
        'bottom': lambda w: w[:, 0] + w[:, 2],
        'right': lambda w: w[:, 1] + w[:, 3],
    }
    for name, figure in figures.items():
        assert stats.ks_2samp(figure(ours), figure(theirs)).pvalue > 1e-3, name
    assert (ours[:, :2] >= 0).all() and (ours[:, 2:] > 0).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all() and (ours[:, 1] + ours[:, 3] <= width).all()


def test_the_statistic_notices_another_distribution():
    """Torchvision's crop draws the area uniformly, not the height: told apart above."""
    ours = our_crops(375, 500, augment.WHOLE_IMAGE)
    areas = np.random.RandomState(0).uniform(0.1, 1.0, SAMPLES) * 375 * 500
    assert stats.ks_2samp(ours[:, 2] * ours[:, 3], areas).pvalue < 1e-6


def test_no_boxes_is_the_whole_image_and_hopeless_boxes_give_the_whole_image():
    none = our_crops(375, 500, np.zeros([0, 4], np.float32))
    assert (none == our_crops(375, 500, augment.WHOLE_IMAGE)).all()
    hopeless = our_crops(375, 500, np.array([[0.5, 0.5, 0.5, 0.5]], np.float32))
    assert (hopeless == [0, 0, 375, 500]).all()


@pytest.mark.parametrize('height, width', [(1, 1), (1, 900), (2, 3), (65000, 20)])
@pytest.mark.parametrize('name', ['inception_v2', 'vgg', 'none'])
@pytest.mark.parametrize('training', [True, False])
def test_windows_of_odd_images_lie_within_them(height, width, name, training):
    for i in range(200):
        y, x, h, w = augment.plan(
            name, 224, key(0, 0, i), height, width, np.zeros([0, 4], np.float32), training
        )[0]
        assert 0 <= y and 0 <= x and h >= 1 and w >= 1 and y + h <= height and x + w <= width


def test_colours_have_the_distribution_of_the_ops():
    ours = np.array([augment.colours_of(key(1, 2, i)) for i in range(SAMPLES)])
    with tf.Graph().as_default(), tf.Session() as session:
        pixel = tf.constant([[[0.6, 0.4, 0.5]]])
        brightened = tf.image.random_brightness(pixel, 32 / 255.0, seed=5)
        saturated = tf.image.random_saturation(pixel, 0.5, 1.5, seed=6)
        both = [session.run([brightened, saturated]) for _ in range(SAMPLES)]
    deltas = np.array([b[0, 0, 0] for b, _ in both]) - 0.6
    factors = np.array([s[0, 0, 0] - s[0, 0, 1] for _, s in both]) / 0.2
    assert stats.ks_2samp(ours[:, 0], deltas).pvalue > 1e-3
    assert stats.ks_2samp(ours[:, 1], factors).pvalue > 1e-3
    assert abs(ours[:, 2].mean() - 0.5) < 0.03
    flips = np.array([augment.is_flipped(key(1, 2, i)) for i in range(SAMPLES)])
    assert abs(flips.mean() - 0.5) < 0.03


def test_numbers_of_one_record_epoch_and_seed_are_independent():
    keys = {(s, e, r): key(s, e, r) for s in range(4) for e in range(20) for r in range(50)}
    assert len(set(keys.values())) == len(keys)
    draws = np.array([[augment.uniform(value, d) for d in range(8)] for value in keys.values()])
    assert stats.kstest(draws.ravel(), 'uniform').pvalue > 1e-3
    correlation = np.corrcoef(np.concatenate([draws, np.roll(draws, 1, 0)], 1).T)
    assert np.abs(correlation - np.eye(16)).max() < 0.06


NO_BOXES = np.zeros([0, 4], np.float32)


def plans(name, augmentation, training=True):
    return [
        augment.plan(name, 224, key(7, 0, i), 300, 400, NO_BOXES, training, augmentation)
        for i in range(400)
    ]


@pytest.mark.parametrize('name', ['inception_v2', 'vgg', 'none'])
def test_augmentation_apart_from_the_resize(name):
    """--augment: the window, the flips and the colours of each kind."""
    (still, _, _) = plans(name, 'auto', training=False)[0]
    for kind in ('flip', 'none'):
        found = plans(name, kind)
        assert all(np.array_equal(window, still) and not any(c) for window, _, c in found)
        share = np.mean([flip for _, flip, _ in found])
        assert share == 0 if kind == 'none' else 0.4 < share < 0.6
    varied = plans(name, 'inception')
    assert len({tuple(window) for window, _, _ in varied}) > 300
    assert len({tuple(colour) for _, _, colour in varied}) > 300
    same = {'inception_v2': 'inception', 'none': 'none'}.get(name)
    if same:
        for one, other in zip(plans(name, 'auto'), plans(name, same)):
            assert all(np.array_equal(a, b) for a, b in zip(one, other))
    evaluated = plans(name, 'inception', training=False)[0]
    assert np.array_equal(evaluated[0], still) and not evaluated[1]
