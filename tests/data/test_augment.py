"""Augmentation against TensorFlow's own ops: distributions and finished pixels."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from data import augment
from data.render import render

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


@pytest.fixture(scope='module')
def reference():
    """The finished pixels by TensorFlow's own ops, in the order slim applies them."""
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.uint8, [None, None, 3])
        colour = tf.placeholder(tf.float32, [3])
        flip = tf.placeholder(tf.bool, [])
        pixels = tf.image.convert_image_dtype(image, tf.float32)
        pixels = tf.image.resize_bilinear(pixels[None], [32, 32])[0]
        pixels = tf.cond(flip, lambda: tf.image.flip_left_right(pixels), lambda: pixels)
        brightness_first = tf.image.adjust_saturation(
            tf.image.adjust_brightness(pixels, colour[0]), colour[1]
        )
        saturation_first = tf.image.adjust_brightness(
            tf.image.adjust_saturation(pixels, colour[1]), colour[0]
        )
        coloured = tf.cond(colour[2] > 0, lambda: brightness_first, lambda: saturation_first)
        coloured = tf.clip_by_value(coloured, 0.0, 1.0) * 2.0 - 1.0
        plain = pixels * 2.0 - 1.0
    with tf.Session(graph=graph) as session:
        yield lambda i, f, c: session.run(
            plain if c is None else coloured,
            {image: i, flip: f, colour: np.zeros(3) if c is None else c},
        )


def odd_images():
    random = np.random.RandomState(0)
    for height, width in ((1, 1), (1, 50), (33, 2), (32, 32), (16, 90), (200, 150), (375, 500)):
        yield random.randint(0, 256, [height, width, 3], dtype=np.uint8)
    yield np.zeros([20, 20, 3], np.uint8)
    yield np.full([20, 20, 3], 255, np.uint8)
    yield np.full([20, 20, 3], 3, np.uint8)  # grey, and black once darkened
    yield (random.randint(0, 2, [40, 40, 3]) * 255).astype(np.uint8)  # pure colours only
    yield random.randint(0, 30, [40, 40, 3], dtype=np.uint8)  # where darkening goes below 0


def test_finished_images_are_those_of_tensorflow_ops(reference):
    for number, image in enumerate(odd_images()):
        for i in range(6):
            colour = np.array(augment.colours_of(key(0, number, i)), np.float32)
            colour = None if i == 0 else colour
            expected = reference(image, i % 2, colour)
            ours = render(image, 32, i % 2, colour)
            np.testing.assert_allclose(ours, expected, atol=3e-5, err_msg=f'{number} {i}')
            wire = render(image, 32, i % 2, colour, np.uint8)
            assert np.abs(wire * (2 / 255.0) - 1 - expected).max() <= 1 / 255.0 + 3e-5


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
