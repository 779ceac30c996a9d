"""The networks as wholes: published counts, TF-slim's names and shapes, widths, image sizes."""

import collections
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import nets
from mobilenet.nets import layers
from tests.helpers import ROOT

# model: all parameters and trained ones (Keras's models with 1,000 classes), and multiply-adds in
# millions at 224 as published in slim's mobilenet_v1.md and mobilenet/README.md.
PUBLISHED = {
    'mobilenet_v1': (4253864, 4231976, 569),
    'mobilenet_v1_075': (2601976, 2585560, 325),
    'mobilenet_v1_050': (1342536, 1331592, 149),
    'mobilenet_v1_025': (475544, 470072, 41),
    'mobilenet_v2': (3538984, 3504872, 300),
    'mobilenet_v2_140': (6156712, 6108776, 582),
    'mobilenet_v2_130': (5431048, 5386792, 509),
    'mobilenet_v2_075': (2663064, 2636424, 209),
    'mobilenet_v2_050': (1987224, 1968680, 97),
    'mobilenet_v2_035': (1691208, 1677128, 59),
}


def build(model_name, size=224, classes=1000, training=True, **options):
    images = tf.placeholder(tf.float32, [1, size, size, 3])
    return nets.build(model_name, images, classes, training, **options)


def count(variables):
    return sum(int(np.prod(v.shape.as_list())) for v in variables)


def multiply_adds(graph):
    """Multiply-adds of all convolutions in the graph, from the shapes of their ops."""
    total = 0
    for op in graph.get_operations():
        if op.type in ('Conv2D', 'DepthwiseConv2dNative'):
            height, width, inputs, outputs = op.inputs[1].shape.as_list()
            _, out_height, out_width, _ = op.outputs[0].shape.as_list()
            total += out_height * out_width * height * width * inputs * outputs
    return total


def test_names_need_no_tensorflow():
    code = (
        'import sys; from mobilenet import nets; assert nets.MODEL_NAMES; '
        'nets.scope_name("mobilenet_v1"); assert "tensorflow" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True, env=dict(os.environ, PYTHONPATH=ROOT))


@pytest.mark.parametrize('model_name', sorted(PUBLISHED))
def test_published_counts(model_name):
    parameters, trained, million_multiply_adds = PUBLISHED[model_name]
    with tf.Graph().as_default() as graph:
        build(model_name)
        assert count(tf.trainable_variables()) == trained
        assert count(tf.global_variables()) == parameters
        assert abs(multiply_adds(graph) / 1e6 - million_multiply_adds) < 1


def test_every_v1_and_v2_width_has_counts():
    assert set(PUBLISHED) <= set(nets.MODEL_NAMES)
    assert not [name for name in nets.MODEL_NAMES if '_v3' not in name and name not in PUBLISHED]


# Of mobilenet_v1_1.0_224 as published: layer, spatial kernel, channels in and out.
V1_LAYERS = """
Conv2d_0 3 3 32
Conv2d_1_depthwise 3 32 1     Conv2d_1_pointwise 1 32 64
Conv2d_2_depthwise 3 64 1     Conv2d_2_pointwise 1 64 128
Conv2d_3_depthwise 3 128 1    Conv2d_3_pointwise 1 128 128
Conv2d_4_depthwise 3 128 1    Conv2d_4_pointwise 1 128 256
Conv2d_5_depthwise 3 256 1    Conv2d_5_pointwise 1 256 256
Conv2d_6_depthwise 3 256 1    Conv2d_6_pointwise 1 256 512
Conv2d_7_depthwise 3 512 1    Conv2d_7_pointwise 1 512 512
Conv2d_8_depthwise 3 512 1    Conv2d_8_pointwise 1 512 512
Conv2d_9_depthwise 3 512 1    Conv2d_9_pointwise 1 512 512
Conv2d_10_depthwise 3 512 1   Conv2d_10_pointwise 1 512 512
Conv2d_11_depthwise 3 512 1   Conv2d_11_pointwise 1 512 512
Conv2d_12_depthwise 3 512 1   Conv2d_12_pointwise 1 512 1024
Conv2d_13_depthwise 3 1024 1  Conv2d_13_pointwise 1 1024 1024
"""

# Of mobilenet_v2_1.0_224: block, channels in, expanded, out.
V2_BLOCKS = """
expanded_conv 32 32 16
expanded_conv_1 16 96 24      expanded_conv_2 24 144 24
expanded_conv_3 24 144 32     expanded_conv_4 32 192 32     expanded_conv_5 32 192 32
expanded_conv_6 32 192 64     expanded_conv_7 64 384 64     expanded_conv_8 64 384 64
expanded_conv_9 64 384 64     expanded_conv_10 64 384 96    expanded_conv_11 96 576 96
expanded_conv_12 96 576 96    expanded_conv_13 96 576 160   expanded_conv_14 160 960 160
expanded_conv_15 160 960 160  expanded_conv_16 160 960 320
"""


def rows(table, columns):
    words = table.split()
    for i in range(0, len(words), columns):
        yield [words[i]] + [int(word) for word in words[i + 1 : i + columns]]


def normalised(layer, weights, shape):
    channels = shape[2] if weights == 'depthwise_weights' else shape[3]
    entries = {f'{layer}/{weights}': shape}
    for name in ('gamma', 'beta', 'moving_mean', 'moving_variance'):
        entries[f'{layer}/BatchNorm/{name}'] = [channels]
    return entries


def published_v1():
    wanted = {
        'Logits/Conv2d_1c_1x1/weights': [1, 1, 1024, 1001],
        'Logits/Conv2d_1c_1x1/biases': [1001],
    }
    for layer, kernel, inputs, outputs in rows(V1_LAYERS, 4):
        weights = 'depthwise_weights' if 'depthwise' in layer else 'weights'
        wanted.update(normalised(layer, weights, [kernel, kernel, inputs, outputs]))
    return wanted


def published_v2():
    wanted = {
        'Logits/Conv2d_1c_1x1/weights': [1, 1, 1280, 1001],
        'Logits/Conv2d_1c_1x1/biases': [1001],
    }
    wanted.update(normalised('Conv', 'weights', [3, 3, 3, 32]))
    wanted.update(normalised('Conv_1', 'weights', [1, 1, 320, 1280]))
    for block, inputs, expanded, outputs in rows(V2_BLOCKS, 4):
        if expanded != inputs:
            wanted.update(normalised(block + '/expand', 'weights', [1, 1, inputs, expanded]))
        wanted.update(normalised(block + '/depthwise', 'depthwise_weights', [3, 3, expanded, 1]))
        wanted.update(normalised(block + '/project', 'weights', [1, 1, expanded, outputs]))
    return wanted


@pytest.mark.parametrize(
    'model_name,published', [('mobilenet_v1', published_v1), ('mobilenet_v2', published_v2)]
)
def test_names_and_shapes_of_the_published_checkpoints(model_name, published):
    scope = nets.scope_name(model_name) + '/'
    with tf.Graph().as_default():
        build(model_name, size=32, classes=1001)
        ours = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
        assert ours == {scope + name: shape for name, shape in published().items()}
        decayed = {v.op.name for v in tf.trainable_variables() if layers.is_decayed(v.name)}
    assert decayed == {scope + name for name in published() if name.endswith('/weights')}
    assert not layers.is_decayed(scope + 'Conv2d_0/weights/Momentum')


@pytest.mark.parametrize(
    'model_name,height,width',
    [('mobilenet_v1_025', 8, 8), ('mobilenet_v1_025', 65, 40), ('mobilenet_v2_035', 9, 31)],
)
def test_any_image_size(model_name, height, width):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(np.random.RandomState(0).rand(3, height, width, 3), tf.float32)
        network = nets.build(model_name, images, 5, True)
        gradients = tf.gradients(tf.nn.l2_loss(network.logits), tf.trainable_variables())
        pooled, last = list(network.end_points.values())[-2:-4:-1]
        session.run(tf.global_variables_initializer())
        logits, gradients, pooled, last = session.run([network.logits, gradients, pooled, last])
    assert logits.shape == (3, 5) and logits.dtype == np.float32
    assert all(np.isfinite(g).all() for g in gradients)
    # The pooled features are the mean over all that is left of the image.
    np.testing.assert_allclose(pooled[:, 0, 0], last.mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_end_points_go_from_input_to_logits():
    with tf.Graph().as_default():
        v1 = list(build('mobilenet_v1').end_points)
        v2 = build('mobilenet_v2').end_points
    assert v1[:3] == ['Conv2d_0', 'Conv2d_1_depthwise', 'Conv2d_1_pointwise']
    assert v1[-1] == 'Logits' and len(v1) == 1 + 2 * 13 + 2
    assert isinstance(v2, collections.OrderedDict)
    assert list(v2)[:4] == [
        'Conv',
        'expanded_conv/depthwise',
        'expanded_conv/project',
        'expanded_conv_1/expand',
    ]
    # Ten of the seventeen blocks have a residual connection (table 2).
    assert len([name for name in v2 if name.endswith('/output')]) == 10
    assert v2['expanded_conv_16/project'].shape.as_list() == [1, 7, 7, 320]


def test_a_second_network_in_the_graph_shares_the_variables():
    with tf.Graph().as_default():
        train = build('mobilenet_v1_025', size=32)
        before = tf.global_variables()
        evaluate = build('mobilenet_v1_025', size=32, training=False)
        assert tf.global_variables() == before
    # Both moments of each of the 27 batch norms, and none in evaluation.
    assert len(train.batch_norm_statistics) == 2 * 27 and not evaluate.batch_norm_statistics


def test_wrong_use():
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match='mobilenet_v1_025'):
            build('mobilenet_v9')
        with pytest.raises(ValueError, match='bfloat16'):
            build('mobilenet_v1', compute_dtype=tf.bfloat16)
        with pytest.raises(ValueError, match='static height'):
            nets.build('mobilenet_v1', tf.placeholder(tf.float32, [1, None, None, 3]), 10, True)


def test_batch_norm_decay_is_slims():
    assert nets.default_batch_norm_decay('mobilenet_v1_050') == 0.9997
    assert nets.default_batch_norm_decay('mobilenet_v2_140') == 0.997
