"""The inference network with its input and output, as a GraphDef without variables."""

import collections

import tensorflow as tf

from mobilenet.weights import network

INPUT, LOGITS, PROBABILITIES, CLASS_NAMES = 'input', 'logits', 'probabilities', 'class_names'

# What goes in. kind: 'float' (in [-1, 1]), 'uint8' or 'bytes' (encoded JPEG or PNG); size: pixels a
# side; batch_size: None for any; layout: 'NHWC' or 'NCHW'; preprocess: of 'bytes', a function
# (string scalar, size) -> float32 [size, size, 3] in [-1, 1].
Input = collections.namedtuple('Input', 'kind size batch_size layout preprocess')


def freeze(trained, entry, fold, class_names=None):
    """The GraphDef of a network.Trained behind an Input.

    Nodes: `input`, `logits`, `probabilities`, float32 [batch, classes], and with class_names a
    string constant of that name. The weights are constants under the network's names.
    """
    with tf.Graph().as_default() as graph:
        images = images_of(entry)
        logits, assign = network.build(trained, images, fold='all' if fold else None)
        tf.identity(logits, LOGITS)
        tf.nn.softmax(logits, name=PROBABILITIES)
        outputs = [LOGITS, PROBABILITIES]
        if class_names:
            tf.constant(list(class_names), tf.string, name=CLASS_NAMES)
            outputs.append(CLASS_NAMES)
        with tf.Session() as sess:
            assign(sess)
            return tf.graph_util.convert_variables_to_constants(
                sess, graph.as_graph_def(add_shapes=True), outputs
            )


def images_of(entry):
    """float32 [batch, size, size, 3] in [-1, 1] from the placeholder `input`."""
    size = entry.size
    if entry.kind == 'bytes':
        encoded = tf.placeholder(tf.string, [entry.batch_size], INPUT)
        images = tf.map_fn(
            lambda one: entry.preprocess(one, size), encoded, tf.float32, back_prop=False
        )
        images.set_shape([entry.batch_size, size, size, 3])
        return images
    shape = [size, size, 3] if entry.layout == 'NHWC' else [3, size, size]
    dtype = tf.uint8 if entry.kind == 'uint8' else tf.float32
    images = tf.placeholder(dtype, [entry.batch_size] + shape, INPUT)
    if entry.layout == 'NCHW':
        images = tf.transpose(images, [0, 2, 3, 1])
    if entry.kind == 'uint8':
        images = tf.cast(images, tf.float32) * (2.0 / 255.0) - 1.0
    return images


def run(graph_def, inputs, output=LOGITS):
    """What the graph gives for inputs."""
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        tf.import_graph_def(graph_def, name='')
        return sess.run(
            graph.get_tensor_by_name(f'{output}:0'),
            {graph.get_tensor_by_name(f'{INPUT}:0'): inputs},
        )
