"""Losses against their definitions in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import losses, multi_tensor
from tests.helpers.steps import softmax


def run(tensor):
    with tf.Session() as sess:
        return sess.run(tensor)


def test_l2_is_of_convolutions_and_fully_connected_weights():
    """weight_decay * sum(w^2) / 2; 0 without decay, and where nothing is decayed."""
    values = {
        'Net/Conv2d_0/weights': np.array([[1.0, 2.0]], np.float32),
        'Net/Conv2d_1_depthwise/depthwise_weights': np.array([10.0], np.float32),
        'Net/Logits/weights': np.array([3.0], np.float32),
        'Net/Logits/biases': np.array([20.0], np.float32),
        'Net/Conv2d_0/BatchNorm/gamma': np.array([30.0], np.float32),
    }
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = [
            tf.get_variable(n, initializer=v, use_resource=True) for n, v in values.items()
        ]
        sess.run(tf.global_variables_initializer())
        l2 = [
            losses.l2(variables, 0.1),
            losses.l2(variables[:1], 0.1),
            losses.l2(variables[1:2] + variables[3:], 0.1),
            losses.l2([], 0.1),
            losses.l2(variables, 0.0),
        ]
        got = sess.run(l2)
    assert got == pytest.approx([0.7, 0.25, 0, 0, 0])
    assert all(value.dtype == np.float32 for value in got)


def test_right_answers_are_counted():
    logits = np.array([[0, 2, 1], [5, 4, 3], [1, 1, 0], [0, 0, 7]], np.float32)
    labels = np.array([1, 1, 0, 2], np.int32)
    with tf.Graph().as_default():
        got = run(losses.count_correct(tf.constant(logits), tf.constant(labels)))
    assert got == 3.0 and got.dtype == np.float32  # of equal ones the lower class is the answer


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


def test_weight_decay_is_in_the_gradients_as_in_the_loss():
    """Against tf.gradients of a loss with l2 in it; only `weights` are decayed."""
    with tf.Graph().as_default(), tf.Session() as sess:
        names = ('a/weights', 'a/depthwise_weights', 'a/biases')
        variables = [tf.get_variable(n, [3, 4], use_resource=True) for n in names]
        decays = losses.weight_decays(variables, 0.3)
        assert decays == [0.3, 0, 0] and losses.weight_decays(variables, 0) == [0, 0, 0]
        loss = tf.add_n([tf.reduce_sum(tf.sin(v)) for v in variables])
        whole = tf.gradients(loss + losses.l2(variables, 0.3), variables)
        ours = multi_tensor.Stock().unscale_and_decay(
            tf.gradients(loss, variables), tf.constant(1.0), variables, decays
        )
        sess.run(tf.global_variables_initializer())
        expected, got, weights, l2 = sess.run(
            [whole, ours, variables[0], losses.l2(variables, 0.3)]
        )
    for e, g in zip(expected, got):
        np.testing.assert_array_equal(g, e)
    assert l2 == pytest.approx(0.15 * np.square(weights.astype(np.float64)).sum(), rel=1e-5)
