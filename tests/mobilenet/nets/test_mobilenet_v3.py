"""MobileNetV3 against a network of tf.contrib.slim's layers, which also choose the variable names.

The reference is put together here from the expansion factors of slim's V3_LARGE and V3_SMALL (as
they stand in tensorflow/models), and names, convolutions, batch norm and pooling are slim's own.
"""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import nets
from mobilenet.devices import host
from mobilenet.nets import layers
from tests.mobilenet.nets.test_keras import assert_close, random_value
from tests.mobilenet.nets.test_nets import build, count, multiply_adds

slim = tf.contrib.slim

# Keras's MobileNetV3Large and MobileNetV3Small (TensorFlow 2) with 1,000 classes: all parameters
# and trained ones (with alpha=0.75, minimalistic=True); multiply-adds in millions: slim's README,
# the paper's table 3 (Small). For the small minimalistic one the README says 65, which the layers
# do not add up to.
PUBLISHED = {
    'mobilenet_v3_large': (5507432, 5483032, 217),
    'mobilenet_v3_large_075': (4012616, 3993528, 155),
    'mobilenet_v3_large_minimalistic': (3948688, 3924288, 209),
    'mobilenet_v3_small': (2554968, 2542856, 56),
    'mobilenet_v3_small_075': (2051552, 2041872, 44),
    'mobilenet_v3_small_minimalistic': (2056848, 2044736, None),
}

# (expansion factor, output channels, kernel, stride, squeeze-and-excite, hard-swish)
LARGE = [
    (1, 16, 3, 1, 0, 0),
    (4, 24, 3, 2, 0, 0),
    (3, 24, 3, 1, 0, 0),
    (3, 40, 5, 2, 1, 0),
    (3, 40, 5, 1, 1, 0),
    (3, 40, 5, 1, 1, 0),
    (6, 80, 3, 2, 0, 1),
    (2.5, 80, 3, 1, 0, 1),
    (2.3, 80, 3, 1, 0, 1),
    (2.3, 80, 3, 1, 0, 1),
    (6, 112, 3, 1, 1, 1),
    (6, 112, 3, 1, 1, 1),
    (6, 160, 5, 2, 1, 1),
    (6, 160, 5, 1, 1, 1),
    (6, 160, 5, 1, 1, 1),
]
SMALL = [
    (1, 16, 3, 2, 1, 0),
    (4.5, 24, 3, 2, 0, 0),
    (88 / 24, 24, 3, 1, 0, 0),
    (4, 40, 5, 2, 1, 1),
    (6, 40, 5, 1, 1, 1),
    (6, 40, 5, 1, 1, 1),
    (3, 48, 5, 1, 1, 1),
    (3, 48, 5, 1, 1, 1),
    (6, 96, 5, 2, 1, 1),
    (6, 96, 5, 1, 1, 1),
    (6, 96, 5, 1, 1, 1),
]


def eighths(value):
    nearest = max(8, int(value + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * value else nearest + 8


def hard_swish(x):
    return x * tf.clip_by_value(x + 3, 0, 6) / 6


def reference(model_name, images, classes, training):
    """Slim's network; its logits."""
    blocks, last, features = (LARGE, 960, 1280) if 'large' in model_name else (SMALL, 576, 1024)
    width = 0.75 if model_name.endswith('_075') else 1
    minimalistic = model_name.endswith('_minimalistic')
    if minimalistic:
        blocks = [(factor, outputs, 3, stride, 0, 0) for factor, outputs, _, stride, _, _ in blocks]
    normalised = {
        'normalizer_fn': slim.batch_norm,
        'normalizer_params': {'scale': True, 'is_training': training, 'epsilon': 0.001},
    }
    outer = tf.nn.relu if minimalistic else hard_swish
    with tf.variable_scope('MobilenetV3'):
        net = slim.conv2d(images, 16, 3, stride=2, activation_fn=outer, **normalised)
        for factor, outputs, kernel, stride, squeeze, swish in blocks:
            activation = hard_swish if swish else tf.nn.relu
            outputs = eighths(outputs * width)
            with tf.variable_scope(None, 'expanded_conv'):
                inputs, channels = net, net.shape[-1].value
                if eighths(channels * factor) > channels:
                    net = slim.conv2d(
                        net,
                        eighths(channels * factor),
                        1,
                        scope='expand',
                        activation_fn=activation,
                        **normalised,
                    )
                net = slim.separable_conv2d(
                    net,
                    None,
                    kernel,
                    1,
                    stride=stride,
                    scope='depthwise',
                    activation_fn=activation,
                    **normalised,
                )
                if squeeze:
                    with tf.variable_scope('squeeze_excite'):
                        gate = slim.avg_pool2d(net, net.shape[1:3].as_list())
                        gate = slim.conv2d(gate, eighths(net.shape[-1].value / 4), 1)
                        gate = slim.conv2d(gate, net.shape[-1].value, 1, activation_fn=None)
                        net *= tf.clip_by_value(gate + 3, 0, 6) * 0.16667
                net = slim.conv2d(
                    net, outputs, 1, scope='project', activation_fn=None, **normalised
                )
                if stride == 1 and channels == outputs:
                    net += inputs
        net = slim.conv2d(net, eighths(last * width), 1, activation_fn=outer, **normalised)
        net = slim.avg_pool2d(net, net.shape[1:3].as_list())
        net = slim.conv2d(net, features, 1, activation_fn=outer)
        with tf.variable_scope('Logits'):
            net = slim.conv2d(net, classes, 1, activation_fn=None, scope='Conv2d_1c_1x1')
    return tf.squeeze(net, [1, 2])


@pytest.mark.parametrize(
    'model_name,training,with_gradients',
    [
        ('mobilenet_v3_large', True, True),
        ('mobilenet_v3_small', False, True),
        ('mobilenet_v3_large_075', False, False),
        ('mobilenet_v3_small_075', True, False),
        ('mobilenet_v3_large_minimalistic', False, False),
        ('mobilenet_v3_small_minimalistic', True, True),
    ],
)
def test_against_slims_layers(model_name, training, with_gradients):
    rng = np.random.RandomState(1)
    size = 97  # odd all the way, and 4x4 at the end
    images = rng.uniform(-1, 1, [4, size, size, 3]).astype(np.float32)
    direction = rng.normal(size=[4, 7]).astype(np.float32)
    values, results = {}, []
    for ours in (True, False):
        with tf.Graph().as_default(), tf.Session() as session:
            inputs = tf.placeholder(tf.float32, images.shape)
            if ours:
                logits = nets.build(
                    model_name, inputs, 7, training, gradients=host.gradients(), block=host.block()
                ).logits
            else:
                logits = reference(model_name, inputs, 7, training)
            trained = tf.trainable_variables() if with_gradients else []
            gradients = tf.gradients(tf.reduce_sum(tf.nn.log_softmax(logits) * direction), trained)
            variables = tf.global_variables()
            for variable in variables:
                if ours:
                    values[variable.op.name] = random_value(variable, rng)
            assert {v.op.name: tuple(v.shape.as_list()) for v in variables} == {
                name: value.shape for name, value in values.items()
            }
            session.run(
                [v.initializer for v in variables],
                {v.initializer.inputs[1]: values[v.op.name] for v in variables},
            )
            logits, gradients = session.run([logits, gradients], {inputs: images})
            results.append((logits, dict(zip([v.op.name for v in trained], gradients))))
    (logits, gradients), (wanted_logits, wanted) = results
    assert_close(logits, wanted_logits, 1e-3, 'logits')
    # By norms: hard-swish's derivative jumps, and rounding puts single values on its other side.
    largest = max((np.linalg.norm(value) for value in wanted.values()), default=0)
    for name, value in wanted.items():
        error = np.linalg.norm(gradients[name] - value)
        scale = max(np.linalg.norm(value), 1e-3 * largest)
        assert error < 1e-2 * scale, f'{name}: relative error {error / scale:g}'


@pytest.mark.parametrize('model_name', sorted(PUBLISHED))
def test_published_counts(model_name):
    parameters, trained, million_multiply_adds = PUBLISHED[model_name]
    with tf.Graph().as_default() as graph:
        network = build(model_name)
        assert count(tf.global_variables()) == parameters
        assert count(tf.trainable_variables()) == trained
        if million_multiply_adds:
            assert abs(multiply_adds(graph) / 1e6 - million_multiply_adds) < 1
        assert list(network.end_points)[-3:] == ['global_pool', 'Conv_2', 'Logits']
        # Squeeze-and-excite and the layer after the pooling are slim.conv2d: decayed.
        names = [v.op.name for v in tf.trainable_variables() if layers.is_decayed(v.op.name)]
    assert 'MobilenetV3/Conv_2/weights' in names
    squeezed = 'MobilenetV3/expanded_conv_4/squeeze_excite/Conv_1/weights' in names
    assert squeezed != model_name.endswith('_minimalistic')
    assert not [name for name in names if 'depthwise' in name]
    assert nets.default_batch_norm_decay(model_name) == 0.997
    assert nets.scope_name(model_name) == 'MobilenetV3'
