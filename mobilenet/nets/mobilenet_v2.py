"""MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381, table 2), named as TF-slim's
mobilenet_v2."""

import collections

import tensorflow as tf

from mobilenet.nets import branches, layers

# (expansion factor, output channels, repetitions, stride of the first repetition).
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAST_FILTERS = 1280


def mobilenet_v2(images, mode, depth_multiplier):
    """Network up to its pooled features [batch, 1, 1, channels], and its end points.

    Args:
      images: float32 [batch, height, width, 3] in [-1, 1].
      mode: layers.Mode.
      depth_multiplier: scales all widths, rounded to multiples of 8. The last convolution is
        widened above 1, but not narrowed below (slim's finegrain_classification_mode).
    """

    def depth(filters):
        return layers.make_divisible(filters * depth_multiplier)

    end_points = collections.OrderedDict()
    net = layers.conv_block(images, mode, 'Conv', depth(32), kernel_size=3, stride=2)
    end_points['Conv'] = net
    block = 0
    for expansion, filters, repetitions, first_stride in _STAGES:
        for repetition in range(repetitions):
            scope = f'expanded_conv_{block}' if block else 'expanded_conv'
            stride = first_stride if repetition == 0 else 1
            net = _inverted_residual(
                net, mode, scope, expansion, depth(filters), stride, end_points
            )
            block += 1
    last_filters = max(depth(_LAST_FILTERS), _LAST_FILTERS)
    net = end_points['Conv_1'] = layers.conv_block(net, mode, 'Conv_1', last_filters)
    net = end_points['global_pool'] = layers.global_pool(net)
    return net, end_points


def _inverted_residual(inputs, mode, scope, expansion, filters, stride, end_points):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection (section 3.3), added to the input where
    shapes allow it. With an expansion factor of 1 there is no expansion convolution."""
    channels = inputs.shape[-1].value
    with tf.variable_scope(scope):
        adds_back = stride == 1 and channels == filters
        inputs = net = branches.split(inputs, mode) if adds_back else inputs
        if expansion > 1:
            net = layers.conv_block(
                net, mode, 'expand', layers.make_divisible(channels * expansion)
            )
            end_points[scope + '/expand'] = net
        net = layers.depthwise_block(net, mode, 'depthwise', stride=stride)
        end_points[scope + '/depthwise'] = net
        net = layers.conv_block(net, mode, 'project', filters, activation=layers.linear)
        end_points[scope + '/project'] = net
        if adds_back:
            net = branches.add_back(net, inputs, mode)
            end_points[scope + '/output'] = net
    return net
