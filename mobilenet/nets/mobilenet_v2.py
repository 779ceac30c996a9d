"""MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381, table 2), named as TF-slim's
mobilenet_v2."""

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

    end_points, channels = layers.EndPoints(), depth(32)
    net = layers.conv_block(images, mode, 'Conv', 3, channels, kernel_size=3, stride=2)
    end_points.add('Conv', net, channels)
    block = 0
    for expansion, filters, repetitions, first_stride in _STAGES:
        for repetition in range(repetitions):
            scope = f'expanded_conv_{block}' if block else 'expanded_conv'
            stride = first_stride if repetition == 0 else 1
            widths = channels, channels * expansion, depth(filters)
            net = _inverted_residual(net, mode, scope, widths, stride, end_points)
            channels = depth(filters)
            block += 1
    last_filters = max(depth(_LAST_FILTERS), _LAST_FILTERS)
    net = layers.conv_block(net, mode, 'Conv_1', channels, last_filters)
    end_points.add('Conv_1', net, last_filters)
    net = end_points['global_pool'] = layers.global_pool(net, last_filters)
    return net, end_points


def _inverted_residual(inputs, mode, scope, widths, stride, end_points):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection (section 3.3), added to the input where
    shapes allow it. With an expansion factor of 1 there is no expansion convolution.

    widths: channels of the inputs, expanded, and of the projection.
    """
    channels, expanded, filters = widths
    with tf.variable_scope(scope):
        adds_back = stride == 1 and channels == filters
        inputs = net = branches.split(inputs, mode) if adds_back else inputs
        if expanded > channels:
            net = layers.conv_block(net, mode, 'expand', channels, expanded)
            end_points.add(scope + '/expand', net, expanded)
        net = layers.depthwise_block(net, mode, 'depthwise', expanded, stride=stride)
        end_points.add(scope + '/depthwise', net, expanded)
        net = layers.conv_block(net, mode, 'project', expanded, filters, activation=layers.linear)
        end_points.add(scope + '/project', net, filters)
        if adds_back:
            net = branches.add_back(net, inputs, mode)
            end_points.add(scope + '/output', net, filters)
    return net
