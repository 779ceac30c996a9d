"""Gradients through branches, against tf.gradients of the same network without them."""

import numpy as np
import tensorflow as tf

from mobilenet.nets import branches, layers, mobilenet_v3

SHAPE = [2, 5, 4, 8]
TRAINING = layers.make_mode(True, tf.float32)


def gradients(build):
    """Gradients of sum(sin(build(x)))."""
    value = np.random.RandomState(0).uniform(-5, 5, SHAPE).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.constant(value)
        return sess.run(tf.gradients(tf.reduce_sum(tf.sin(build(x))), x)[0])


def test_residual_addition():
    def ours(x):
        inputs = branches.split(x, TRAINING)
        return branches.add_back(tf.square(inputs), inputs, TRAINING)

    np.testing.assert_allclose(gradients(ours), gradients(lambda x: tf.square(x) + x), rtol=1e-5)


def test_scaling_by_a_gate_of_the_mean():
    def ours(x):
        return branches.scale(x, tf.tanh(branches.pool(x)))

    def plain(x):
        return x * tf.tanh(tf.reduce_mean(x, [1, 2], keepdims=True))

    np.testing.assert_allclose(gradients(ours), gradients(plain), rtol=1e-4, atol=1e-6)


def test_a_gradient_from_inside_a_block_has_nothing_of_an_earlier_call():
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.constant(np.ones(SHAPE, np.float32))
        inputs = branches.split(x, TRAINING)
        inner = inputs * 3.0
        outer = branches.add_back(inner, inputs, TRAINING)
        tf.gradients(outer, inner)  # leaves a part that nobody takes
        got = sess.run(tf.gradients(inner, x)[0])
    np.testing.assert_array_equal(got, np.full(SHAPE, 3.0))


def test_hard_swish_gradient_is_alike_with_either_kernels():
    x = np.concatenate([[-3.0, 3.0, 0.0], np.linspace(-8, 8, 317)]).astype(np.float32)
    x = x.reshape(1, 4, 5, 16)
    results = []
    for stock in (False, True):
        with tf.Graph().as_default(), tf.Session() as sess:
            inputs = tf.placeholder(tf.float32, x.shape)  # of a constant Eigen's kernels are folded
            outputs = mobilenet_v3.hard_swish(inputs, TRAINING._replace(stock_relu6_gradient=stock))
            fetches = [outputs, tf.gradients(outputs, inputs)[0]]
            results.append(sess.run(fetches, {inputs: x}))
    for ours, stock in zip(*results):
        np.testing.assert_array_equal(ours, stock)
    slope = np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6))
    np.testing.assert_allclose(results[0][0], x * np.clip(x + 3, 0, 6) / 6, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(results[0][1], slope, rtol=1e-5, atol=1e-6)
