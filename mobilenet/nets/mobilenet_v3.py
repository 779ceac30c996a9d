"""MobileNetV3 (Howard et al., 2019, arXiv:1905.02244, tables 1 and 2), named as TF-slim's
mobilenet_v3."""

import collections

import tensorflow as tf

from mobilenet.nets import branches, layers, onednn

_SQUEEZE_FACTOR = 4

# expanded: channels of the depthwise convolution at width 1 (slim gives factors of the input).
# squeeze: squeeze-and-excite. activation: RE relu, HS hard-swish.
Block = collections.namedtuple('Block', 'kernel expanded filters squeeze activation stride')

_LARGE = (
    Block(3, 16, 16, False, 'RE', 1),
    Block(3, 64, 24, False, 'RE', 2),
    Block(3, 72, 24, False, 'RE', 1),
    Block(5, 72, 40, True, 'RE', 2),
    Block(5, 120, 40, True, 'RE', 1),
    Block(5, 120, 40, True, 'RE', 1),
    Block(3, 240, 80, False, 'HS', 2),
    Block(3, 200, 80, False, 'HS', 1),
    Block(3, 184, 80, False, 'HS', 1),
    Block(3, 184, 80, False, 'HS', 1),
    Block(3, 480, 112, True, 'HS', 1),
    Block(3, 672, 112, True, 'HS', 1),
    Block(5, 672, 160, True, 'HS', 2),
    Block(5, 960, 160, True, 'HS', 1),
    Block(5, 960, 160, True, 'HS', 1),
)

_SMALL = (
    Block(3, 16, 16, True, 'RE', 2),
    Block(3, 72, 24, False, 'RE', 2),
    Block(3, 88, 24, False, 'RE', 1),
    Block(5, 96, 40, True, 'HS', 2),
    Block(5, 240, 40, True, 'HS', 1),
    Block(5, 240, 40, True, 'HS', 1),
    Block(5, 120, 48, True, 'HS', 1),
    Block(5, 144, 48, True, 'HS', 1),
    Block(5, 288, 96, True, 'HS', 2),
    Block(5, 576, 96, True, 'HS', 1),
    Block(5, 576, 96, True, 'HS', 1),
)


def _minimalistic(blocks):
    """Without squeeze-and-excite, hard-swish and 5x5 kernels, which some hardware lacks (slim's
    V3_LARGE_MINIMALISTIC and V3_SMALL_MINIMALISTIC).
    """
    return tuple(b._replace(kernel=3, squeeze=False, activation='RE') for b in blocks)


# variant -> (blocks, filters of the last convolution, width of the layer after the pooling,
# depth multiplier, activation outside of the blocks).
_VARIANTS = {
    'large': (_LARGE, 960, 1280, 1.0, 'HS'),
    'large_075': (_LARGE, 960, 1280, 0.75, 'HS'),
    'large_minimalistic': (_minimalistic(_LARGE), 960, 1280, 1.0, 'RE'),
    'small': (_SMALL, 576, 1024, 1.0, 'HS'),
    'small_075': (_SMALL, 576, 1024, 0.75, 'HS'),
    'small_minimalistic': (_minimalistic(_SMALL), 576, 1024, 1.0, 'RE'),
}
_FIRST_FILTERS = 16


def mobilenet_v3(images, mode, variant):
    """Network up to the features in front of the logits [batch, 1, 1, channels]; end points.

    Args:
      images: float32 [batch, height, width, 3] in [-1, 1].
      mode: layers.Mode.
      variant: one of _VARIANTS. A depth multiplier scales all widths, rounded to multiples of 8,
        but not the layer after the pooling (slim's finegrain_classification_mode).
    """
    blocks, last_filters, features, multiplier, outer = _VARIANTS[variant]
    activation = _ACTIVATIONS[outer]

    def depth(filters):
        return layers.make_divisible(filters * multiplier)

    end_points, channels = layers.EndPoints(), depth(_FIRST_FILTERS)
    net = layers.conv_block(images, mode, 'Conv', 3, channels, 3, 2, activation)
    end_points.add('Conv', net, channels)
    before = _FIRST_FILTERS
    for i, block in enumerate(blocks):
        scope = f'expanded_conv_{i}' if i else 'expanded_conv'
        expanded = layers.make_divisible(channels * (block.expanded / before))
        before = block.filters
        scaled = block._replace(expanded=expanded, filters=depth(block.filters))
        net = _bottleneck(net, mode, scope, channels, scaled, end_points)
        channels = scaled.filters
    net = layers.conv_block(net, mode, 'Conv_1', channels, depth(last_filters), 1, 1, activation)
    channels = depth(last_filters)
    end_points.add('Conv_1', net, channels)
    net = end_points['global_pool'] = layers.global_pool(net, channels)
    with tf.variable_scope('Conv_2'):
        net = layers.add_biases(layers.conv2d(net, mode, channels, features), features)
        net = layers.without_filling(activation(net, mode), features)
    end_points['Conv_2'] = net
    return net, end_points


def hard_swish(inputs, mode):
    """x * relu6(x + 3) / 6 (section 5.2)."""
    with tf.name_scope('hard_swish'):
        if mode.gradients == 'stock' or not mode.training:
            gate = layers.relu6(inputs + 3.0, mode) * (1.0 / 6.0)
            gradient = 'MobilenetHardSwish'
        else:
            shifted = onednn.affine(inputs, 1.0, 3.0)
            gate = onednn.affine(layers.relu6(shifted, mode), 1.0 / 6.0, 0.0)
            gradient = 'MobilenetHardSwishComposed'
        with tf.get_default_graph().gradient_override_map({'Mul': gradient}):
            return tf.multiply(inputs, gate)


@tf.RegisterGradient('MobilenetHardSwish')
def _hard_swish_gradient(op, grad):
    """dy * (h + (h - 0.5 where 0 < h < 1)) with h = relu6(x + 3) / 6.

    There x is 6 * h - 3, so that h + x / 6 is 2 * h - 0.5. It is the whole gradient: none goes
    through h, or the two would be summed.
    """
    gate = op.inputs[1]
    inside = tf.cast(tf.logical_and(gate > 0, gate < 1), gate.dtype)
    return grad * (gate + (gate - 0.5) * inside), None


@tf.RegisterGradient('MobilenetHardSwishComposed')
def _hard_swish_gradient_composed(op, grad):
    """The same numbers by ops that stay in oneDNN's layout, as in layers.relu6's gradient."""
    gate = op.inputs[1]
    inside = onednn.affine(gate, 1.0, -0.5, after=grad)
    inside = tf.raw_ops.ReluGrad(gradients=inside, features=gate)
    below_one = onednn.affine(gate, -1.0, 1.0, after=grad)
    inside = tf.raw_ops.ReluGrad(gradients=inside, features=below_one)
    return tf.multiply(grad, tf.add(gate, inside)), None


_ACTIVATIONS = {'RE': lambda inputs, mode: tf.nn.relu(inputs), 'HS': hard_swish}


def squeeze_excite(inputs, mode, channels):
    """Scales each channel by a gate in [0, 1] computed from all channels' means (section 5.3).

    The gate is relu6(x + 3) * 0.16667, with slim's digits.
    """
    squeezed = layers.make_divisible(channels / _SQUEEZE_FACTOR)
    with tf.variable_scope('squeeze_excite'):
        gate = branches.pool(inputs)
        with tf.variable_scope('Conv'):
            gate = layers.add_biases(layers.conv2d(gate, mode, channels, squeezed), squeezed)
            gate = tf.nn.relu(gate)
        with tf.variable_scope('Conv_1'):
            gate = layers.add_biases(layers.conv2d(gate, mode, squeezed, channels), channels)
            gate = layers.relu6(gate + 3.0, mode) * 0.16667
        return branches.scale(inputs, gate)


def _bottleneck(inputs, mode, scope, channels, block, end_points):
    """Inverted residual of V2 with block's kernel size and activation, and squeeze-and-excite
    between the depthwise convolution and the projection."""
    activation, expanded = _ACTIVATIONS[block.activation], block.expanded
    with tf.variable_scope(scope):
        adds_back = block.stride == 1 and channels == block.filters
        inputs = net = branches.split(inputs, mode) if adds_back else inputs
        if expanded > channels:
            net = layers.conv_block(net, mode, 'expand', channels, expanded, 1, 1, activation)
            end_points.add(scope + '/expand', net, expanded)
        net = layers.depthwise_block(
            net, mode, 'depthwise', expanded, block.kernel, block.stride, activation
        )
        end_points.add(scope + '/depthwise', net, expanded)
        if block.squeeze:
            net = squeeze_excite(net, mode, expanded)
            end_points.add(scope + '/squeeze_excite', net, expanded)
        net = layers.conv_block(
            net, mode, 'project', expanded, block.filters, activation=layers.linear
        )
        end_points.add(scope + '/project', net, block.filters)
        if adds_back:
            net = branches.add_back(net, inputs, mode)
            end_points.add(scope + '/output', net, block.filters)
    return net
