"""MobileNetV1 of tf.contrib.slim's layers with TF-slim's names: checkpoint, frozen graph and
SavedModel.
"""

import collections
import os

import numpy as np
import tensorflow as tf

slim = tf.contrib.slim
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
FILTERS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)

# Paths, and logits of the raw weights and of their averages for the images given to `write`.
Published = collections.namedtuple('Published', 'checkpoint frozen saved_model raw averaged')


def logits(images, classes, width):
    """Inference, as tensorflow/models' mobilenet_v1.py builds it from slim's layers."""

    def depth(filters):
        return max(int(filters * width), 8)

    normalised = {
        'normalizer_fn': slim.batch_norm,
        'normalizer_params': {'scale': True, 'is_training': False, 'epsilon': 0.001},
        'activation_fn': tf.nn.relu6,
    }
    with tf.variable_scope('MobilenetV1'):
        net = slim.conv2d(images, depth(32), 3, stride=2, scope='Conv2d_0', **normalised)
        for i, (stride, filters) in enumerate(zip(STRIDES, FILTERS), 1):
            net = slim.separable_conv2d(
                net, None, 3, 1, stride=stride, scope=f'Conv2d_{i}_depthwise', **normalised
            )
            net = slim.conv2d(net, depth(filters), 1, scope=f'Conv2d_{i}_pointwise', **normalised)
        with tf.variable_scope('Logits'):
            net = tf.reduce_mean(net, [1, 2], keepdims=True)
            net = slim.conv2d(net, classes, 1, activation_fn=None, scope='Conv2d_1c_1x1')
            return tf.squeeze(net, [1, 2], name='SpatialSqueeze')


def random_values(variables, seed):
    """Values that put activations on both sides of 0 and 6."""
    rng = np.random.RandomState(seed)
    values = {}
    for v in variables:
        shape, leaf = v.shape.as_list(), v.op.name.split('/')[-1]
        if leaf in ('gamma', 'moving_variance'):
            values[v] = rng.uniform(0.5, 3.0, shape)
        elif leaf in ('beta', 'moving_mean', 'biases'):
            values[v] = rng.normal(0, 0.7, shape)
        else:
            fan_in = shape[0] * shape[1] * (1 if leaf == 'depthwise_weights' else shape[2])
            values[v] = rng.normal(0, fan_in**-0.5, shape)
    return values


def assign(sess, values):
    sess.run(
        [v.initializer for v in values],
        {v.initializer.inputs[1]: value for v, value in values.items()},
    )


def write(folder, images, classes=1001, width=0.25, name='mobilenet_v1_0.25_32.ckpt', step=425000):
    """Writes all three under `folder`; the graph and the SavedModel have the averages' values."""
    folder = str(folder)
    os.makedirs(folder, exist_ok=True)
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        inputs = tf.placeholder(tf.float32, [None] + list(images.shape[1:]), 'input')
        outputs = logits(inputs, classes, width)
        tf.nn.softmax(outputs, name='MobilenetV1/Predictions')
        model = slim.get_model_variables()
        tf.train.create_global_step()
        averages = tf.train.ExponentialMovingAverage(0.9)
        averages.apply(model)
        averaged = random_values(model, 1)
        values = {averages.average(v): value for v, value in averaged.items()}
        # At once: each run of other ops optimizes the graph anew.
        assign(sess, {tf.train.get_global_step(): step, **random_values(model, 0), **values})
        raw = sess.run(outputs, {inputs: images})
        saver = tf.train.Saver()
        saver.save(sess, os.path.join(folder, name), write_state=False)
        assign(sess, averaged)
        wanted = sess.run(outputs, {inputs: images})
        frozen = os.path.join(folder, 'frozen', 'graph.pb')
        os.makedirs(os.path.dirname(frozen), exist_ok=True)
        constant = tf.graph_util.convert_variables_to_constants(
            sess, graph.as_graph_def(), ['MobilenetV1/Predictions']
        )
        with open(frozen, 'wb') as file:
            file.write(constant.SerializeToString())
        saved_model = os.path.join(folder, 'saved_model')
        tf.saved_model.simple_save(sess, saved_model, {'images': inputs}, {'logits': outputs})
    return Published(os.path.join(folder, name), frozen, saved_model, raw, wanted)
