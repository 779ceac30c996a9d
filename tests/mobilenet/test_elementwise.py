"""Arithmetic on many tensors at once: the bits of arithmetic on each."""

import numpy as np
import tensorflow as tf

from mobilenet import elementwise

SHAPES = ((5,), (3, 3, 2, 1), (1,), (7,), (2, 4))


def test_apply_gives_the_bits_of_each_by_itself():
    rng = np.random.RandomState(0)
    a, b = [[rng.randn(*s).astype(np.float32) for s in SHAPES] for _ in range(2)]
    with tf.Graph().as_default(), tf.Session() as sess:
        tensors = [list(map(tf.constant, column)) for column in (a, b)]
        got = sess.run(elementwise.apply(lambda x, y: (x - y) / tf.constant(3.0), *tensors))
    for x, y, result in zip(a, b, got):
        np.testing.assert_array_equal(result, (x - y) / np.float32(3.0))


def test_pack_keeps_every_element():
    tensors = [np.full(s, i, np.float32) for i, s in enumerate(SHAPES)]
    with tf.Graph().as_default(), tf.Session() as sess:
        packed = sess.run(elementwise.pack(list(map(tf.constant, tensors))))
    assert len(packed) == 3  # two that are no vectors, and the vectors as one
    assert sorted(np.concatenate([p.ravel() for p in packed])) == sorted(
        np.concatenate([t.ravel() for t in tensors])
    )
