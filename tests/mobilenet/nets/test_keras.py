"""The networks against tf.keras.applications with the weights copied across.

Keras pads V1 explicitly at the bottom and right in front of its stride 2 convolutions, which is
padding SAME where the size is even at each of them: 96 here (96, 48, 24, 12, 6). Its V2 pads
by the parity of the size, as SAME does, so that 65 (65, 33, 17, 9, 5) can be compared as well.
Sizes that end in 2x2 are of no use as a reference: oneDNN's depthwise gradient is wrong there
(see depthwise_conv2d in mobilenet/nets/layers.py, and test_nets_layers.py).
"""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import nets
from mobilenet.devices import host

CLASSES = 12
BATCH = 4


def keras_network(model_name, size, training):
    """(pre-softmax tensor, input tensor, variables in order of creation, model)."""
    version, alpha = {
        'mobilenet_v1': (1, 1.0),
        'mobilenet_v1_025': (1, 0.25),
        'mobilenet_v2': (2, 1.0),
        'mobilenet_v2_035': (2, 0.35),
    }[model_name]
    tf.keras.backend.set_learning_phase(int(training))
    options = {'input_shape': (size, size, 3), 'alpha': alpha, 'weights': None, 'classes': CLASSES}
    if version == 1:
        model = tf.keras.applications.MobileNet(dropout=0.0, **options)
    else:
        model = tf.keras.applications.MobileNetV2(**options)
    op = model.output.op
    while op.type != 'Softmax':
        op = op.inputs[0].op
    return model, tf.reshape(op.inputs[0], [-1, CLASSES])


def in_slim_order(model):
    """The model's variables in the order of ours: by layer; kernel, gamma, beta, mean, variance."""
    return [variable for layer in model.layers for variable in layer.weights]


def random_value(variable, rng):
    """Values that put activations on both sides of 0 and 6, and differ from layer to layer."""
    shape = variable.shape.as_list()
    kind = variable.op.name.split('/')[-1]
    if kind in ('gamma', 'moving_variance'):
        return rng.uniform(0.5, 3.0, shape)
    if kind in ('beta', 'moving_mean', 'biases'):
        return rng.normal(0, 0.7, shape)
    fan_in = shape[0] * shape[1] * (1 if kind == 'depthwise_weights' else shape[2])
    return rng.normal(0, fan_in**-0.5, shape)


def assert_close(ours, keras, tolerance, name, at_least=1e-6):
    scale = max(np.abs(keras).max(), at_least)
    error = np.abs(ours.reshape(keras.shape) - keras).max() / scale
    assert error < tolerance, f'{name}: relative error {error:g}'


@pytest.mark.parametrize(
    'model_name,size,training',
    [
        ('mobilenet_v1_025', 96, False),
        ('mobilenet_v1_025', 96, True),
        ('mobilenet_v1', 96, True),
        ('mobilenet_v2_035', 96, False),
        ('mobilenet_v2', 65, True),
    ],
)
def test_forward_gradients_and_statistics(model_name, size, training):
    rng = np.random.RandomState(1)
    images = rng.uniform(-1, 1, [BATCH, size, size, 3]).astype(np.float32)
    direction = rng.normal(size=[BATCH, CLASSES]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        model, their_logits = keras_network(model_name, size, training)
        inputs = tf.placeholder(tf.float32, images.shape)
        suited = {'gradients': host.gradients(), 'block': host.block()}
        network = nets.build(model_name, inputs, CLASSES, training, **suited)
        ours, theirs = tf.global_variables(nets.scope_name(model_name)), in_slim_order(model)
        assert len(ours) == len(theirs)
        pairs = [(v, w) for v, w in zip(ours, theirs) if 'moving_' not in v.op.name]
        our_gradients, their_gradients = (
            tf.gradients(tf.reduce_sum(tf.nn.log_softmax(logits) * direction), list(variables))
            for logits, variables in zip((network.logits, their_logits), zip(*pairs))
        )
        initialize(session, ours, theirs, rng)
        feed = {inputs: images, model.input: images}
        statistics = [value for _, value in network.batch_norm_statistics]
        fetches = [network.logits, their_logits, our_gradients, their_gradients]
        *values, statistics, end_points = session.run(
            fetches + [statistics, network.end_points], feed
        )
        assert_same([v.op.name for v, _ in pairs], *values)
        saturated = [name for name, value in end_points.items() if (value == 6).any()]
        assert len(saturated) > 10, 'relu6 hardly ever reached 6'
        assert bool(statistics) == training
        if training:
            moving = [w for w in theirs if 'moving_' in w.op.name]
            before = session.run(moving)
            session.run(model.get_updates_for(model.inputs), feed)
            names = [variable.op.name for variable, _ in network.batch_norm_statistics]
            # Keras moves its averages with momentum 0.99 (V1) and 0.999 (V2).
            momentum = 0.999 if 'v2' in model_name else 0.99
            assert_moved(names, before, session.run(moving), statistics, momentum)


def initialize(session, ours, theirs, rng):
    """The same random values for both."""
    values = {v: random_value(v, rng) for v in ours}
    values.update({w: values[v].reshape(w.shape.as_list()) for v, w in zip(ours, theirs)})
    session.run(
        [v.initializer for v in values],
        {v.initializer.inputs[1]: value for v, value in values.items()},
    )


def assert_same(names, logits, their_logits, gradients, their_gradients):
    assert_close(logits, their_logits, 1e-4, 'logits')
    # A shift in front of a further batch norm has no gradient but rounding: hence the floor.
    largest = max(np.abs(y).max() for y in their_gradients)
    for name, x, y in zip(names, gradients, their_gradients):
        assert_close(x, y, 2e-3, name, at_least=1e-3 * largest)


def assert_moved(names, before, after, statistics, momentum):
    """Keras's averages have moved towards our statistics of the batch."""
    assert len(names) == len(before) == len(after) == len(statistics)
    for name, old, new, value in zip(names, before, after, statistics):
        assert_close(momentum * old + (1 - momentum) * value, new, 1e-5, name)
        assert_close(value, (new - momentum * old) / (1 - momentum), 5e-3, name)
