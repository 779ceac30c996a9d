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

    end_points = collections.OrderedDict()
    net = layers.conv_block(
        images, mode, 'Conv', depth(_FIRST_FILTERS), kernel_size=3, stride=2, activation=activation
    )
    end_points['Conv'] = net
    before = _FIRST_FILTERS
    for i, block in enumerate(blocks):
        scope = f'expanded_conv_{i}' if i else 'expanded_conv'
        expanded = layers.make_divisible(net.shape[-1].value * (block.expanded / before))
        before = block.filters
        scaled = block._replace(expanded=expanded, filters=depth(block.filters))
        net = _bottleneck(net, mode, scope, scaled, end_points)
    net = layers.conv_block(net, mode, 'Conv_1', depth(last_filters), activation=activation)
    end_points['Conv_1'] = net
    net = end_points['global_pool'] = layers.global_pool(net)
    with tf.variable_scope('Conv_2'):
        net = activation(layers.add_biases(layers.conv2d(net, mode, features)), mode)
    end_points['Conv_2'] = net
    return net, end_points


_HARD_SWISH_GRADIENTS = {
    'composed': 'MobilenetHardSwishComposed',
    'onednn': 'MobilenetHardSwishAny',
}


def hard_swish(inputs, mode):
    """x * relu6(x + 3) / 6 (section 5.2)."""
    with tf.name_scope('hard_swish'):
        if mode.gradients == 'stock' or not mode.training:
            gate = layers.relu6(inputs + 3.0, mode) * (1.0 / 6.0)
            gradient = 'MobilenetHardSwish'
        else:
            shifted = onednn.affine(inputs, 1.0, 3.0)
            gate = onednn.affine(layers.relu6(shifted, mode), 1.0 / 6.0, 0.0)
            gradient = _HARD_SWISH_GRADIENTS[mode.gradients]
        with tf.get_default_graph().gradient_override_map({'Mul': gradient}):
            return tf.multiply(inputs, gate)


@tf.RegisterGradient('MobilenetHardSwish')
def _hard_swish_gradient(op, grad):
    """dy * (h + (h - 0.5 where 0 < h < 1)) with h = relu6(x + 3) / 6.

    There x is 6 * h - 3, so that h + x / 6 is 2 * h - 0.5. It is the whole gradient: none goes
    through h, or the two would be summed.
    """
    return _through_hard_swish(grad, op.inputs[1]), None


def _through_hard_swish(grad, gate):
    inside = tf.cast(tf.logical_and(gate > 0, gate < 1), gate.dtype)
    return grad * (gate + (gate - 0.5) * inside)


def _through_hard_swish_in_layout(grad, gate):
    """The same numbers by ops that stay in oneDNN's layout, as in layers.relu6's gradient."""
    inside = onednn.affine(gate, 1.0, -0.5, after=grad)
    inside = tf.raw_ops.ReluGrad(gradients=inside, features=gate)
    below_one = onednn.affine(gate, -1.0, 1.0, after=grad)
    inside = tf.raw_ops.ReluGrad(gradients=inside, features=below_one)
    return tf.multiply(grad, tf.add(gate, inside))


@tf.RegisterGradient('MobilenetHardSwishComposed')
def _hard_swish_gradient_composed(op, grad):
    return _through_hard_swish_in_layout(grad, op.inputs[1]), None


@tf.RegisterGradient('MobilenetHardSwishAny')
def _hard_swish_gradient_any(op, grad):
    gate = op.inputs[1]
    return onednn.by_blocks(grad, gate, _through_hard_swish_in_layout, _through_hard_swish), None


def relu(inputs, mode):
    """max(x, 0)."""
    if mode.gradients != 'onednn' or not mode.training:
        return tf.nn.relu(inputs)
    with tf.get_default_graph().gradient_override_map({'Relu': onednn.RELU}):
        return tf.nn.relu(inputs)


_ACTIVATIONS = {'RE': relu, 'HS': hard_swish}


def squeeze_excite(inputs, mode):
    """Scales each channel by a gate in [0, 1] computed from all channels' means (section 5.3).

    The gate is relu6(x + 3) * 0.16667, with slim's digits.
    """
    channels = inputs.shape[-1].value
    with tf.variable_scope('squeeze_excite'):
        gate = branches.pool(inputs)
        with tf.variable_scope('Conv'):
            squeezed = layers.make_divisible(channels / _SQUEEZE_FACTOR)
            gate = tf.nn.relu(layers.add_biases(layers.conv2d(gate, mode, squeezed)))
        with tf.variable_scope('Conv_1'):
            gate = layers.add_biases(layers.conv2d(gate, mode, channels))
            gate = layers.relu6(gate + 3.0, mode) * 0.16667
        return branches.scale(inputs, gate)


def _bottleneck(inputs, mode, scope, block, end_points):
    """Inverted residual of V2 with block's kernel size and activation, and squeeze-and-excite
    between the depthwise convolution and the projection."""
    activation = _ACTIVATIONS[block.activation]
    channels = inputs.shape[-1].value
    with tf.variable_scope(scope):
        adds_back = block.stride == 1 and channels == block.filters
        inputs = net = branches.split(inputs, mode) if adds_back else inputs
        if block.expanded > channels:
            net = layers.conv_block(net, mode, 'expand', block.expanded, activation=activation)
            end_points[scope + '/expand'] = net
        net = layers.depthwise_block(net, mode, 'depthwise', block.kernel, block.stride, activation)
        end_points[scope + '/depthwise'] = net
        if block.squeeze:
            net = end_points[scope + '/squeeze_excite'] = squeeze_excite(net, mode)
        net = layers.conv_block(net, mode, 'project', block.filters, activation=layers.linear)
        end_points[scope + '/project'] = net
        if adds_back:
            net = end_points[scope + '/output'] = branches.add_back(net, inputs, mode)
    return net
