"""MobileNets by tf.contrib.slim's layers, as models/research/slim/nets has them.

Runs on any TensorFlow 1.15. Depth multiplier as a number; V3 is the large one.
"""

import tensorflow as tf

slim = tf.contrib.slim

V1 = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)) + ((1, 512),) * 5
V1 += ((2, 1024), (1, 1024))
# expansion, filters, repetitions, stride
V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# kernel, expanded, filters, squeeze, hard-swish, stride
V3 = (
    (3, 16, 16, 0, 0, 1),
    (3, 64, 24, 0, 0, 2),
    (3, 72, 24, 0, 0, 1),
    (5, 72, 40, 1, 0, 2),
    (5, 120, 40, 1, 0, 1),
    (5, 120, 40, 1, 0, 1),
    (3, 240, 80, 0, 1, 2),
    (3, 200, 80, 0, 1, 1),
    (3, 184, 80, 0, 1, 1),
    (3, 184, 80, 0, 1, 1),
    (3, 480, 112, 1, 1, 1),
    (3, 672, 112, 1, 1, 1),
    (5, 672, 160, 1, 1, 2),
    (5, 960, 160, 1, 1, 1),
    (5, 960, 160, 1, 1, 1),
)


def depthwise(net, kernel, stride, activation=tf.nn.relu6):
    return slim.separable_conv2d(
        net, None, kernel, depth_multiplier=1, stride=stride, activation_fn=activation
    )


def mobilenet_v1(net, multiplier):
    def depth(filters):
        return max(int(filters * multiplier), 8)

    net = slim.conv2d(net, depth(32), 3, stride=2)
    for stride, filters in V1:
        net = slim.conv2d(depthwise(net, 3, stride), depth(filters), 1)
    return net


def bottleneck(net, expanded, filters, kernel, stride, activation, squeeze=False):
    inputs = net
    if expanded != net.shape[-1].value:
        net = slim.conv2d(net, expanded, 1, activation_fn=activation)
    net = depthwise(net, kernel, stride, activation)
    if squeeze:
        gate = tf.reduce_mean(net, [1, 2], keepdims=True)
        squeezed = max(8, int(expanded / 4 + 4) // 8 * 8)
        with slim.arg_scope([slim.conv2d], normalizer_fn=None):
            gate = slim.conv2d(gate, squeezed, 1, activation_fn=tf.nn.relu)
            gate = slim.conv2d(gate, expanded, 1, activation_fn=None)
        net *= tf.nn.relu6(gate + 3.0) * 0.16667
    net = slim.conv2d(net, filters, 1, activation_fn=None)
    return net + inputs if inputs.shape[-1].value == filters and stride == 1 else net


def mobilenet_v2(net, multiplier):
    def depth(filters):
        return max(8, int(filters * multiplier + 4) // 8 * 8)

    net = slim.conv2d(net, depth(32), 3, stride=2)
    for expansion, filters, repetitions, stride in V2:
        for i in range(repetitions):
            expanded = net.shape[-1].value * expansion
            net = bottleneck(net, expanded, depth(filters), 3, 1 if i else stride, tf.nn.relu6)
    return slim.conv2d(net, 1280, 1)


def hard_swish(x):
    return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


def mobilenet_v3_large(net, multiplier):
    del multiplier
    net = slim.conv2d(net, 16, 3, stride=2, activation_fn=hard_swish)
    for kernel, expanded, filters, squeeze, swish, stride in V3:
        activation = hard_swish if swish else tf.nn.relu
        net = bottleneck(net, expanded, filters, kernel, stride, activation, squeeze)
    net = slim.conv2d(net, 960, 1, activation_fn=hard_swish)
    net = tf.reduce_mean(net, [1, 2], keepdims=True)
    return slim.conv2d(net, 1280, 1, activation_fn=hard_swish, normalizer_fn=None)


def logits(model_name, images, training):
    """float32 [batch, 1000]; model_name as train_loop.py has it."""
    parts = model_name.split('_')
    multiplier = int(parts[2]) / 100 if parts[-1].isdigit() else 1.0
    network = {'v1': mobilenet_v1, 'v2': mobilenet_v2, 'v3': mobilenet_v3_large}[parts[1]]
    batch_norm = {'scale': True, 'epsilon': 0.001, 'decay': 0.9997, 'is_training': training}
    with slim.arg_scope(
        [slim.conv2d, slim.separable_conv2d],
        activation_fn=tf.nn.relu6,
        normalizer_fn=slim.batch_norm,
        normalizer_params=batch_norm,
        weights_initializer=tf.truncated_normal_initializer(stddev=0.09),
        padding='SAME',
    ), slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(4e-5)):
        net = network(images, multiplier)
    net = tf.reduce_mean(net, [1, 2], keepdims=True)
    return tf.squeeze(slim.conv2d(net, 1000, 1, activation_fn=None), [1, 2])
