"""Losses against their definitions in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import losses
from tests.helpers.steps import softmax


def run(tensor):
    with tf.Session() as sess:
        return sess.run(tensor)


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 1.0])
def test_label_smoothing(smoothing):
    rng = np.random.RandomState(0)
    logits, labels = rng.randn(5, 7).astype(np.float32), rng.randint(0, 7, 5)
    target = np.eye(7)[labels] * (1 - smoothing) + smoothing / 7
    expected = -(target * np.log(softmax(logits.astype(np.float64)))).sum(1).mean()
    with tf.Graph().as_default():
        got = run(
            losses.smoothed_cross_entropy(
                tf.constant(logits), tf.constant(labels, tf.int32), smoothing
            )
        )
    assert got == pytest.approx(expected, rel=1e-6)
