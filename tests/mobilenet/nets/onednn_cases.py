"""Gradients made for oneDNN's kernels, against the stock ones: run by test_onednn.py."""

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import gen_nn_ops

from mobilenet.nets import layers, mobilenet_v3

TRAINING = layers.make_mode(True, tf.float32)
STOCK = TRAINING._replace(gradients='stock')


def test_relu6_gradient_has_the_bits_of_relu6_grad():
    borders = np.float32(
        [
            0,
            6,
            -0.0,
            -1,
            7,
            3,
            np.nextafter(np.float32(0), np.float32(-1)),
            np.nextafter(np.float32(6), np.float32(0)),
            np.nextafter(np.float32(6), np.float32(7)),
            1e-30,
            1e30,
            -1e30,
        ]
    )
    rng = np.random.RandomState(0)
    inputs = np.concatenate([borders, rng.normal(3, 4, 256 * 16 - 12)])
    inputs = inputs.reshape(4, 8, 8, 16).astype(np.float32)
    upstream = rng.normal(size=inputs.shape).astype(np.float32)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        x = tf.placeholder(tf.float32, inputs.shape)
        dy = tf.placeholder(tf.float32, inputs.shape)
        y = layers.relu6(x, TRAINING)
        ours = tf.gradients(y, x, dy)[0]
        assert 'Relu6Grad' not in {op.type for op in graph.get_operations()}
        stock = tf.gradients(layers.relu6(x, STOCK), x, dy)[0]
        assert 'Relu6Grad' in {op.type for op in graph.get_operations()}
        assert y.op.type == 'Relu6'
        got, wanted, kernel = session.run(
            [ours, stock, gen_nn_ops.relu6_grad(dy, y)], {x: inputs, dy: upstream}
        )
    # + 0.0 makes -0.0 (masked by a product) and 0.0 (masked by a choice) the same bits.
    assert (got + 0.0).tobytes() == (wanted + 0.0).tobytes() == (kernel + 0.0).tobytes()
    np.testing.assert_array_equal(got, np.where((inputs > 0) & (inputs < 6), upstream, 0))


def test_hard_swish_gradient_is_alike_with_either_kernels():
    x = np.concatenate([[-3.0, 3.0, 0.0], np.linspace(-8, 8, 317)]).astype(np.float32)
    results = []
    for mode in (TRAINING, STOCK):
        x = x.reshape(1, 4, 5, 16)
        with tf.Graph().as_default(), tf.Session() as sess:
            inputs = tf.placeholder(tf.float32, x.shape)  # of a constant Eigen's kernels are folded
            outputs = mobilenet_v3.hard_swish(inputs, mode)
            fetches = [outputs, tf.gradients(outputs, inputs)[0]]
            results.append([value.ravel() for value in sess.run(fetches, {inputs: x})])
    for ours, stock in zip(*results):
        np.testing.assert_array_equal(ours, stock)
    x = x.ravel()
    slope = np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6))
    np.testing.assert_allclose(results[0][0], x * np.clip(x + 3, 0, 6) / 6, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(results[0][1], slope, rtol=1e-5, atol=1e-6)
