"""Gradients through branches, against tf.gradients of the same network without them."""

import numpy as np
import tensorflow as tf

from mobilenet.nets import branches, layers

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
