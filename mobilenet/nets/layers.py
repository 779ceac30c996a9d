"""Layers of the MobileNets on tf.get_variable and tf.nn, with TF-slim's names and settings.

Sources: tensorflow/models, research/slim/nets/mobilenet_v1.py (mobilenet_v1_arg_scope) and
nets/mobilenet/mobilenet.py (training_scope): all weights truncated normal with stddev 0.09, biases
zero, batch norm with gamma and beta and epsilon 0.001, padding SAME, relu6.
"""

import collections
import zlib

import tensorflow as tf

from mobilenet.nets import onednn

WEIGHTS_STDDEV = 0.09
BATCH_NORM_EPSILON = 0.001

# How the layers of one network are built. batch_norm_statistics is filled while it is built.
# fold: which batch norms are biases instead, is_frozen: which are not trained, see `nets.build`;
# block: activations have a multiple of so many channels, see `width`.
Mode = collections.namedtuple(
    'Mode', 'training compute_dtype gradients fold is_frozen block batch_norm_statistics'
)


def make_mode(
    training, compute_dtype, gradients='composed', fold=None, is_frozen=lambda name: False, block=1
):
    """A Mode without any statistics yet. Raises ValueError on a dtype without a CPU kernel, and on
    `fold` while training.
    """
    if training and fold:
        raise ValueError('batch norm cannot be folded while training')
    compute_dtype = tf.as_dtype(compute_dtype)
    if compute_dtype not in (tf.float32, tf.float16):
        raise ValueError(f'compute_dtype must be float32 or float16, not {compute_dtype.name}')
    block = block if compute_dtype == tf.float32 else 1  # oneDNN's kernels have no float16
    return Mode(bool(training), compute_dtype, gradients, fold, is_frozen, block, [])


def check_images(images):
    """Raises ValueError unless images are [batch, height, width, channels] with static sizes."""
    shape = images.shape
    if shape.ndims != 4 or not shape[1:].is_fully_defined():
        raise ValueError(
            'images must be [batch, height, width, channels] with static height, '
            f'width and channels, not {shape}'
        )


def network_scope(name):
    """Variable scope of a whole network: resource variables, shared by all calls in one graph."""
    return tf.variable_scope(name, use_resource=True, reuse=tf.AUTO_REUSE)


def variables_in(scope, leaves):
    """The variables under a network's scope whose names end in one of `leaves`."""
    return [v for v in tf.global_variables(scope + '/') if v.op.name.split('/')[-1] in leaves]


def width(channels, mode):
    """How many channels an activation of `channels` has in this mode: whole blocks, of which the
    last are zeros. Without them many of oneDNN's kernels are plain loops, four to ten times as slow
    (V3-large takes a fifth longer, V1 at a quarter of its width a half). Variables, end points and
    statistics have `channels`.
    """
    return -(-channels // mode.block) * mode.block


def filled(variable, shape):
    """The variable with zeros behind, up to `shape`."""
    missing = [(0, wide - own) for wide, own in zip(shape, variable.shape.as_list())]
    return tf.pad(variable, missing) if any(after for _, after in missing) else variable


def without_filling(activation, channels):
    """The activation of `channels` in what has the width of a mode."""
    return activation if activation.shape[-1].value == channels else activation[..., :channels]


class EndPoints(collections.OrderedDict):
    """Layer name -> activation, without what fills its channels up."""

    def add(self, name, activation, channels):
        self[name] = without_filling(activation, channels)


def is_decayed(variable_name):
    """Whether weight decay applies: to weights of convolution and fully connected layers.

    Depthwise weights, biases, gamma, beta and moving averages are not decayed, as in slim's
    training scopes.
    """
    return variable_name.split(':')[0].split('/')[-1] == 'weights'


def _weights(name, shape):
    """Weights, truncated normal, whose initial values depend on the graph's seed and their name.

    TensorFlow's own seeded initializers take their seed from the count of ops created before, so
    one more op in the graph would change all weights; and their second run gives other values.
    """
    full_name = tf.get_variable_scope().name + '/' + name

    def initializer(shape, dtype=tf.float32, partition_info=None):
        del partition_info
        graph_seed = tf.get_default_graph().seed or 0
        seed = [graph_seed & 0x7FFFFFFF, zlib.crc32(full_name.encode()) & 0x7FFFFFFF]
        return tf.random.stateless_truncated_normal(shape, seed, stddev=WEIGHTS_STDDEV, dtype=dtype)

    return tf.get_variable(name, shape, initializer=initializer)


def _convolve(inputs, weights, mode, convolution):
    """convolution(inputs, weights) in mode.compute_dtype; float32 in and out."""
    if mode.compute_dtype == tf.float32:
        return convolution(inputs, weights)
    outputs = convolution(tf.cast(inputs, mode.compute_dtype), tf.cast(weights, mode.compute_dtype))
    return tf.cast(outputs, tf.float32)


def conv2d(inputs, mode, channels, filters, kernel_size=1, stride=1):
    """2-D convolution with padding SAME, variable `weights` [k, k, channels, filters], no bias."""
    size = [kernel_size, kernel_size]
    weights = filled(
        _weights('weights', size + [channels, filters]),
        size + [inputs.shape[-1].value, width(filters, mode)],
    )
    return _convolve(
        inputs,
        weights,
        mode,
        lambda x, w: tf.nn.conv2d(x, w, strides=[1, stride, stride, 1], padding='SAME'),
    )


def depthwise_conv2d(inputs, mode, channels, kernel_size=3, stride=1):
    """Depthwise convolution with padding SAME, variable `depthwise_weights` [k, k, channels, 1]."""
    size = [kernel_size, kernel_size]
    weights = filled(
        _weights('depthwise_weights', size + [channels, 1]), size + [inputs.shape[-1].value, 1]
    )
    padding = 'SAME'
    (top, bottom), columns = [
        _same_padding(inputs.shape[axis].value, kernel_size, stride) for axis in (1, 2)
    ]
    output_height = -(-inputs.shape[1].value // stride)
    if output_height == 2 and top and bottom and onednn.kernels():
        # oneDNN's gradient for the weights is broken here: with a 3x3 kernel, two rows of output
        # and padding on both sides it leaves the kernel's last row as it found the memory. Small
        # images meet it (V1 at 32x32: 2x2 inputs from layer 7 on). Given the zeros, it is sound.
        inputs = tf.pad(inputs, [(0, 0), (top, bottom), columns, (0, 0)])
        padding = 'VALID'
    on_host = mode.gradients in ('onednn', 'compiled')
    slow = kernel_size > 3 and on_host and mode.compute_dtype == tf.float32
    override = {'DepthwiseConv2dNative': onednn.DEPTHWISE} if slow else {}
    with tf.get_default_graph().gradient_override_map(override):
        return _convolve(
            inputs,
            weights,
            mode,
            lambda x, w: tf.nn.depthwise_conv2d(
                x, w, strides=[1, stride, stride, 1], padding=padding
            ),
        )


def _same_padding(size, kernel_size, stride):
    """Zeros that padding SAME adds before and after `size` pixels."""
    output_size = -(-size // stride)
    total = max((output_size - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2


def add_biases(inputs, channels):
    """Adds the variable `biases` [channels], zero at first."""
    biases = tf.get_variable('biases', [channels], initializer=tf.zeros_initializer())
    return tf.nn.bias_add(inputs, filled(biases, [inputs.shape[-1].value]))


def batch_norm(inputs, mode, channels, depthwise=False):
    """Fused batch norm over [batch, height, width], with gamma and beta, under scope `BatchNorm`.

    In training it appends (moving_mean, batch mean) and (moving_variance, batch variance) to
    mode.batch_norm_statistics. As in slim the batch variance is the kernel's second output, which
    has n - 1 in its denominator, while the activations are normalised with n. depthwise: after a
    depthwise convolution. Where mode.fold has it in the weights, it is the biases alone.
    """
    if mode.fold == 'all' or mode.fold == 'convolutions' and not depthwise:
        return add_biases(inputs, channels)
    ones, zeros = tf.ones_initializer(), tf.zeros_initializer()
    with tf.variable_scope('BatchNorm'):
        gamma = tf.get_variable('gamma', [channels], initializer=ones)
        beta = tf.get_variable('beta', [channels], initializer=zeros)
        moving_mean = tf.get_variable('moving_mean', [channels], initializer=zeros, trainable=False)
        moving_variance = tf.get_variable(
            'moving_variance', [channels], initializer=ones, trainable=False
        )
        wide = [inputs.shape[-1].value]
        by_moving = mode.is_frozen(gamma.op.name) and mode.is_frozen(beta.op.name)
        by_moving = by_moving or not mode.training
        outputs, mean, variance = tf.nn.fused_batch_norm(
            inputs,
            filled(gamma, wide),
            filled(beta, wide),
            filled(moving_mean, wide) if by_moving else None,
            filled(moving_variance, wide) if by_moving else None,
            epsilon=BATCH_NORM_EPSILON,
            is_training=not by_moving,
        )
        if not by_moving:
            mode.batch_norm_statistics.extend(
                [
                    (moving_mean, without_filling(mean, channels)),
                    (moving_variance, without_filling(variance, channels)),
                ]
            )
        return outputs


def relu6(inputs, mode):
    """min(max(x, 0), 6), with a gradient that is bit for bit Relu6Grad's and faster with oneDNN.

    oneDNN's Relu6Grad kernel takes 40 % of a training step of MobileNetV1; other kernels of that
    name, ours (mobilenet/native) among them, are the fastest. The forward op is a plain Relu6 in
    all cases, so that devices and converters know it. Measured by scripts/bench/bench_relu6.py.
    """
    if mode.gradients in ('stock', 'compiled') or inputs.shape.ndims != 4:
        return tf.nn.relu6(inputs)
    with tf.get_default_graph().gradient_override_map({'Relu6': onednn.RELU6}):
        return tf.nn.relu6(inputs)


def linear(inputs, mode):
    """No activation."""
    del mode
    return inputs


def conv_block(inputs, mode, scope, channels, filters, kernel_size=1, stride=1, activation=relu6):
    """Convolution of `channels`, batch norm, activation; variables under `scope`."""
    with tf.variable_scope(scope):
        net = conv2d(inputs, mode, channels, filters, kernel_size, stride)
        return activation(batch_norm(net, mode, filters), mode)


def depthwise_block(inputs, mode, scope, channels, kernel_size=3, stride=1, activation=relu6):
    """Depthwise convolution, batch norm, activation; variables under `scope`."""
    with tf.variable_scope(scope):
        net = depthwise_conv2d(inputs, mode, channels, kernel_size, stride)
        return activation(batch_norm(net, mode, channels, depthwise=True), mode)


def global_pool(inputs, channels):
    """Mean over whatever height and width there are: [batch, 1, 1, channels]."""
    pooled = tf.reduce_mean(inputs, [1, 2], keepdims=True, name='global_pool')
    return without_filling(pooled, channels)


def classifier(pooled, mode, num_classes, dropout_mask, keep_prob):
    """Dropout and logits: [batch, 1, 1, channels] -> float32 [batch, num_classes]."""
    mode, channels = mode._replace(block=1), pooled.shape[-1].value
    with tf.variable_scope('Logits'):
        if mode.training and dropout_mask is not None:
            with tf.name_scope('Dropout'):
                pooled *= (1 / keep_prob) * dropout_mask(pooled.shape.as_list(), keep_prob)
        with tf.variable_scope('Conv2d_1c_1x1'):
            logits = add_biases(conv2d(pooled, mode, channels, num_classes), num_classes)
        return tf.squeeze(logits, [1, 2], name='SpatialSqueeze')


def make_divisible(value):
    """The multiple of 8 nearest to value, at least 8 and at least 90 % of value.

    Source: slim's _make_divisible, which rounds the widths of V2 and V3.
    """
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded
