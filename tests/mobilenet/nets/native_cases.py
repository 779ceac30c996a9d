"""The compiled kernels, with oneDNN's layout where it matters: run by test_onednn.py."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import native, nets

OURS, THEIRS = '_MobilenetRelu6Grad', '_MklRelu6Grad'


@pytest.fixture(autouse=True)
def loaded():
    if not native.load():
        assert not shutil.which('g++'), 'scripts/setup.sh has not compiled the kernels'
        pytest.skip('no g++')


def kernels_of(metadata):
    """Names of the kernels that ran."""
    nodes = [node for device in metadata.step_stats.dev_stats for node in device.node_stats]
    labels = [node.timeline_label for node in nodes if ' = ' in node.timeline_label]
    return [label.split(' = ')[1].split('(')[0] for label in labels]


def run(session, fetches, feeds):
    """(values, names of the kernels)."""
    options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    metadata = tf.RunMetadata()
    values = session.run(fetches, feeds, options=options, run_metadata=metadata)
    return values, kernels_of(metadata)


def expected(dy, y):
    return np.where((y > 0) & (y < 6), dy, dy * np.float32(0))


def plain(tensor):
    return tensor


def in_onednn_layout(tensor):
    """Three times the tensor, from a convolution."""
    channels = tensor.shape[-1].value
    weights = tf.constant(3 * np.eye(channels, dtype=np.float32)[None, None])
    return tf.nn.conv2d(tensor, weights, strides=1, padding='SAME')


@pytest.mark.parametrize('shape', [(2, 5, 7, 16), (1, 1, 1, 48), (3, 4, 4, 5), (2, 3, 3, 1)])
@pytest.mark.parametrize('of_gradient', [plain, in_onednn_layout])
@pytest.mark.parametrize('of_activation', [plain, in_onednn_layout])
def test_any_two_layouts_give_what_the_definition_says(shape, of_gradient, of_activation):
    rng = np.random.RandomState(0)
    dy, y = [rng.normal(size=shape).astype(np.float32) for _ in range(2)]
    with tf.Graph().as_default(), tf.Session() as session:
        feeds = tf.placeholder(tf.float32, shape), tf.placeholder(tf.float32, shape)
        gradient, activation = of_gradient(feeds[0]), tf.nn.relu6(of_activation(feeds[1] * 2))
        inside = tf.raw_ops.Relu6Grad(gradients=gradient, features=activation)
        after = in_onednn_layout(inside)  # it goes on in whatever layout it has
        (got, then, g, a), kernels = run(
            session, [inside, after, gradient, activation], dict(zip(feeds, (dy, y)))
        )
    assert OURS in kernels and THEIRS not in kernels
    np.testing.assert_array_equal(got, expected(g, a))
    np.testing.assert_allclose(then, 3 * expected(g, a), rtol=1e-6, atol=1e-6)
    assert 0 < (got == 0).mean() < 1 or got.size < 64


def test_borders_and_what_is_not_finite():
    six, zero = np.float32(6), np.float32(0)
    y = [zero, -zero, six, np.nextafter(six, zero), np.finfo(np.float32).tiny, 3, 1e-30, np.nan]
    dy = [np.nan, np.inf, -np.inf, 1, 2, -3, 1e38, 7]
    y, dy = [np.float32(values).reshape(1, 2, 2, 2) for values in (y, dy)]
    with tf.Graph().as_default(), tf.Session() as session:
        feeds = tf.placeholder(tf.float32, y.shape), tf.placeholder(tf.float32, y.shape)
        inside = tf.raw_ops.Relu6Grad(gradients=feeds[0], features=feeds[1])
        got = session.run(inside, {feeds[0]: dy, feeds[1]: y})
    nan = np.nan  # an overflow that a border hid would not skip the step
    np.testing.assert_array_equal(got.ravel(), [nan, nan, nan, 1, 2, -3, np.float32(1e38), 0])
    np.testing.assert_array_equal(got, expected(dy, y))


def test_a_gradient_that_is_read_elsewhere_stays_as_it_is():
    shape = (2, 8, 8, 16)
    with tf.Graph().as_default(), tf.Session() as session:
        dy = in_onednn_layout(tf.ones(shape) * tf.placeholder_with_default(-1.0, []))
        y = tf.nn.relu6(in_onednn_layout(tf.placeholder_with_default(-tf.ones(shape), shape)))
        inside = tf.raw_ops.Relu6Grad(gradients=dy, features=y)
        got, whole = session.run([inside, dy])
    assert (got == 0).all() and (whole == -3).all()


def test_gradients_of_a_network_have_the_bits_of_the_composed_ops():
    images = np.random.RandomState(0).uniform(-4, 4, (2, 64, 64, 3)).astype(np.float32)
    results = []
    for gradients in ('composed', 'compiled'):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(0)
            network = nets.build(
                'mobilenet_v1_025', tf.constant(images), 10, True, gradients=gradients, block=16
            )
            loss = tf.reduce_sum(tf.square(network.logits))
            wanted = tf.gradients(loss, tf.trainable_variables())
            session.run(tf.global_variables_initializer())
            values, kernels = run(session, wanted, {})
            results.append(values)
            assert (OURS in kernels) == (gradients == 'compiled')
    for composed, compiled in zip(*results):
        assert composed.tobytes() == compiled.tobytes()
        assert np.abs(compiled).max() > 0
