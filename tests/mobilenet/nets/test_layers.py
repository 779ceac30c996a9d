"""Layers: gradients against numpy, dropout, initial weights, float16, batch norm."""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import nets
from mobilenet.nets import layers
from tests.helpers.short_networks import shortened


@pytest.mark.parametrize('kernel_size,stride', [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_depthwise_weight_gradient_at_small_sizes(kernel_size, stride):
    """oneDNN's kernel is wrong for two rows of output; NaN here where it reads free memory."""
    rng = np.random.RandomState(0)
    mode = layers.make_mode(True, tf.float32)
    cases, weight_gradients, outputs = [], [], []
    with tf.Graph().as_default(), tf.Session() as session:
        for height in range(1, 8):
            for width in (2, 5):
                with tf.variable_scope(f'size_{height}_{width}', use_resource=True):
                    inputs = rng.normal(size=[2, height, width, 8]).astype(np.float32)
                    x = tf.Variable(inputs)
                    y = layers.depthwise_conv2d(x, mode, x.shape[-1].value, kernel_size, stride)
                    weights = tf.trainable_variables()[-1]
                    dy = rng.normal(size=y.shape.as_list()).astype(np.float32)
                    cases.append((inputs, dy))
                    outputs.append((y, weights))
                    weight_gradients.append(tf.gradients(y, weights, dy)[0])
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            values, results = session.run([weight_gradients, outputs])
            for (inputs, dy), value, (y, weights) in zip(cases, values, results):
                patches = padded_patches(inputs, kernel_size, stride, *dy.shape[1:3])
                np.testing.assert_allclose(
                    y, np.einsum('ijbhwc,ijc->bhwc', patches, weights[..., 0]), atol=1e-4
                )
                np.testing.assert_allclose(
                    value[..., 0],
                    np.einsum('ijbhwc,bhwc->ijc', patches, dy),
                    atol=1e-4,
                    err_msg=f'{inputs.shape} -> {dy.shape}',
                )


def padded_patches(inputs, kernel_size, stride, out_height, out_width):
    """[k, k, batch, out height, out width, channels]: inputs under each tap, padding SAME."""
    pads = [
        max((out - 1) * stride + kernel_size - size, 0)
        for out, size in zip((out_height, out_width), inputs.shape[1:3])
    ]
    padded = np.pad(inputs, [(0, 0)] + [(p // 2, p - p // 2) for p in pads] + [(0, 0)], 'constant')
    return np.array(
        [
            [
                padded[:, i:, j:][
                    :,
                    : (out_height - 1) * stride + 1 : stride,
                    : (out_width - 1) * stride + 1 : stride,
                ]
                for j in range(kernel_size)
            ]
            for i in range(kernel_size)
        ]
    )


@pytest.mark.parametrize(
    'model_name,keep_prob', [('mobilenet_v1_025', 0.999), ('mobilenet_v2_035', 0.8)]
)
def test_dropout_is_in_training_only_and_by_slims_rate(model_name, keep_prob):
    masks = {
        'none': None,
        'all': lambda shape, _: tf.ones(shape),
        'nothing': lambda shape, _: tf.zeros(shape),
    }
    asked = []

    def noted(mask):
        def ask(shape, probability):
            asked.append((shape[:3], probability))
            return mask(shape, probability)

        return mask and ask

    with tf.Graph().as_default(), tf.Session() as session, shortened():
        images = tf.constant(np.random.RandomState(0).rand(2, 16, 16, 3).astype(np.float32))
        trained, evaluated = (
            {
                name: nets.build(model_name, images, 3, training, dropout_mask=noted(mask)).logits
                for name, mask in masks.items()
            }
            for training in (True, False)
        )
        session.run(tf.global_variables_initializer())
        trained, evaluated = session.run([trained, evaluated])
    assert asked == [([2, 1, 1], keep_prob)] * 2  # once a training network with a mask
    np.testing.assert_allclose(
        trained['all'], trained['none'] / keep_prob, rtol=1e-5, atol=1e-6
    )  # the biases are 0 at first
    assert (trained['none'] != 0).all()
    np.testing.assert_array_equal(trained['nothing'], trained['none'] * 0)
    np.testing.assert_array_equal(evaluated['all'], evaluated['none'])


def initial_weights(seed, ops_before=0, model_name='mobilenet_v1_025', runs=1):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(seed)
        for _ in range(ops_before):
            tf.random_normal([1])
        nets.build(model_name, tf.zeros([1, 16, 16, 3]), 10, True)
        initializer = tf.global_variables_initializer()
        for _ in range(runs):
            session.run(initializer)
        variables = tf.trainable_variables()
        return dict(zip([v.op.name for v in variables], session.run(variables)))


def test_initial_weights_depend_on_seed_and_name_only():
    weights = initial_weights(1)
    for again in (initial_weights(1, ops_before=7), initial_weights(1, runs=2)):
        assert all(np.array_equal(again[name], weights[name]) for name in weights)
    other = initial_weights(2)
    random = [name for name in weights if name.endswith('weights')]
    assert len(random) == 28
    assert not any(np.array_equal(other[name], weights[name]) for name in random)
    # Layers of equal shape differ.
    assert len({weights[name].tobytes() for name in random}) == len(random)


def test_initial_weights_are_slims():
    weights = initial_weights(3)
    drawn = np.concatenate([w.ravel() for n, w in weights.items() if n.endswith('weights')])
    # A normal distribution of stddev 0.09, cut at two of them, has 0.8796 of its width.
    assert np.abs(drawn).max() <= 0.18
    assert abs(drawn.std() - 0.09 * 0.8796) < 0.001 and abs(drawn.mean()) < 0.001
    assert all((w == 1).all() for n, w in weights.items() if n.endswith('gamma'))
    assert all((w == 0).all() for n, w in weights.items() if n.endswith(('beta', 'biases')))


@pytest.mark.parametrize('model_name', ['mobilenet_v1_025', 'mobilenet_v2_035'])
def test_float16_is_for_convolutions_alone(model_name):
    with tf.Graph().as_default() as graph, shortened():
        network = nets.build(
            model_name, tf.zeros([2, 32, 32, 3]), 4, True, compute_dtype=tf.float16
        )
        gradients = tf.gradients(network.logits, tf.trainable_variables())
        assert network.logits.dtype == tf.float32
        assert {g.dtype for g in gradients} == {tf.float32}
        assert {v.dtype.base_dtype for v in tf.global_variables()} == {tf.float32}
        dtypes = {}
        for op in graph.get_operations():
            dtypes.setdefault(op.type, []).append(op.outputs[0].dtype if op.outputs else None)
        weights = [v for v in tf.trainable_variables() if v.op.name.endswith('weights')]
    assert dtypes['Conv2D'] + dtypes['DepthwiseConv2dNative'] == [tf.float16] * len(weights)
    for kind in ('Conv2DBackpropFilter', 'DepthwiseConv2dNativeBackpropFilter'):
        assert set(dtypes[kind]) == {tf.float16}
    assert set(dtypes['Relu6']) == {tf.float32}
    assert set(sum((d for k, d in dtypes.items() if k.startswith('FusedBatchNorm')), [])) == {
        tf.float32
    }


def relative_error(value, wanted):
    return np.sqrt(np.square(value - wanted).mean()) / wanted.std()


def test_float16_is_close_to_float32():
    """Each layer adds about 5e-4, float16's rounding; batch norm of random weights amplifies it."""
    rng = np.random.RandomState(0)
    images = rng.uniform(-1, 1, [8, 64, 64, 3]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        results = []
        for dtype in (tf.float32, tf.float16):
            network = nets.build(
                'mobilenet_v1_025', tf.constant(images), 4, True, compute_dtype=dtype
            )
            loss = tf.losses.sparse_softmax_cross_entropy(np.arange(8) % 4, network.logits)
            variables = tf.trainable_variables()
            # The gradients of two layers alone, which nothing amplifies.
            upstream = np.random.RandomState(1).normal(size=[8, 32, 32, 8]).astype(np.float32)
            near = tf.gradients(network.end_points['Conv2d_1_depthwise'], variables[:6], upstream)
            results.append((network.end_points, near, tf.gradients(loss, variables)))
        session.run(tf.global_variables_initializer())
        (wanted, wanted_near, wanted_all), (half, half_near, half_all) = session.run(results)
    assert 0 < relative_error(half['Conv2d_0'], wanted['Conv2d_0']) < 1e-3
    for name in wanted:
        assert relative_error(half[name], wanted[name]) < 0.2, name
    for variable, value, gradient in zip(variables, half_near, wanted_near):
        error = np.abs(value - gradient).max() / np.abs(gradient).max()
        assert error < 0.05, f'{variable.op.name}: {error:g}'
    flat, half_flat = [np.concatenate([g.ravel() for g in gs]) for gs in (wanted_all, half_all)]
    assert flat.dot(half_flat) / np.linalg.norm(flat) / np.linalg.norm(half_flat) > 0.7


def test_float16_overflows():
    """What the loss scale is there for: a gradient too large for float16 is not finite."""
    with tf.Graph().as_default(), tf.Session() as session, shortened():
        network = nets.build(
            'mobilenet_v1_025', tf.ones([2, 32, 32, 3]), 4, True, compute_dtype=tf.float16
        )
        loss = tf.losses.sparse_softmax_cross_entropy([0, 1], network.logits) * 1e30
        gradient = tf.gradients(loss, tf.trainable_variables()[-2])[0]
        session.run(tf.global_variables_initializer())
        assert not np.isfinite(session.run(gradient)).all()


def test_batch_norm_statistics_are_what_slim_averages():
    """tf.contrib.slim's own batch norm, with decay 0, puts the batch's values in its averages."""
    slim = tf.contrib.slim
    rng = np.random.RandomState(0)
    inputs = rng.normal(2, 3, [3, 2, 2, 8]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, inputs.shape)
        mode = layers.make_mode(True, tf.float32)
        with layers.network_scope('Ours'):
            ours = layers.batch_norm(x, mode, x.shape[-1].value)
        theirs = slim.batch_norm(x, decay=0.0, scale=True, is_training=True, scope='Theirs')
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        session.run(tf.global_variables_initializer())
        feed = {x: inputs}
        values, ours, theirs = session.run(
            [[value for _, value in mode.batch_norm_statistics], ours, theirs], feed
        )
        session.run(updates, feed)
        moving = [v for v in slim.get_model_variables() if 'moving' in v.op.name]
        averaged = {v.op.name.split('/')[-1]: session.run(v) for v in moving}
        names = [v.op.name for v, _ in mode.batch_norm_statistics]
    assert names == ['Ours/BatchNorm/moving_mean', 'Ours/BatchNorm/moving_variance']
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(values[0], averaged['moving_mean'], rtol=1e-6)
    np.testing.assert_allclose(values[1], averaged['moving_variance'], rtol=1e-6)
    np.testing.assert_allclose(values[1], inputs.reshape(-1, 8).var(0, ddof=1), rtol=1e-4)
