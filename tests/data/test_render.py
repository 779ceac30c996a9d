"""Finished pixels against TensorFlow's own ops."""

import numba
import numpy as np
import pytest
import tensorflow as tf

from data import augment, render


@pytest.fixture(autouse=True)
def without_numba(monkeypatch):
    """Under scripts/mutate.py nothing is compiled; `between_pixels` is code for the compiler."""
    if numba.config.DISABLE_JIT:
        monkeypatch.setattr(render, 'between_pixels', between_pixels)


def between_pixels(row, i, fraction, line, j):
    left, right = row[i : i + 4], row[i + 3 : i + 7]
    line[j : j + 4] = left + (right - left) * fraction


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
            key = np.uint64(augment.key_of(0, number, i))
            colour = np.array(augment.colours_of(key), np.float32)
            colour = None if i == 0 else colour
            expected = reference(image, i % 2, colour)
            ours = render.render(image, 32, i % 2, colour)
            np.testing.assert_allclose(ours, expected, atol=3e-5, err_msg=f'{number} {i}')
            wire = render.render(image, 32, i % 2, colour, np.uint8)
            assert np.abs(wire * (2 / 255.0) - 1 - expected).max() <= 1 / 255.0 + 3e-5


def test_nothing_is_done_that_is_not_asked_for():
    image = np.random.RandomState(0).randint(0, 256, [5, 7, 3], dtype=np.uint8)
    plain = render.render(image, 7)
    assert np.array_equal(plain, render.render(image, 7, flip=False, colour=None))
    assert np.array_equal(plain[:, ::-1], render.render(image, 7, flip=True))
