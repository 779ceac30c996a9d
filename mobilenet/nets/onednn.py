"""Gradients that keep a training step in oneDNN's own layout, and off its slow kernels.

They are named in gradient_override_map, where the kernels are oneDNN's; see layers.py.
"""

import weakref

import tensorflow as tf
from tensorflow.python import pywrap_tensorflow
from tensorflow.python.framework import function

from mobilenet.devices import threads

RELU6 = 'MobilenetRelu6'
# On a host alone: a function is in it, which devices may not take.
DEPTHWISE = 'MobilenetDepthwise'


def kernels():
    """Whether this TensorFlow has oneDNN's kernels and uses them."""
    return pywrap_tensorflow.IsMklEnabled() and threads.kernels_of_environment() != 'plain'


def by_stock_kernels(compute, *inputs):
    """compute(*inputs), float32, by TensorFlow's own kernels.

    oneDNN's layout pass does not look into a function that is not inlined.
    """
    result = []

    @function.Defun(*[tf.float32] * len(inputs), noinline=True)
    def computed(*arguments):
        for argument, tensor in zip(arguments, inputs):
            argument.set_shape(tensor.shape)
        result.append(compute(*arguments))
        return result[-1]

    output = computed(*inputs)
    output.set_shape(result[-1].shape)
    return output


def affine(inputs, scale, offset, after=None):
    """scale * x + offset with Python numbers, x [batch, height, width, channels], without gradient.

    An inference batch norm: unlike Mul and Add with a scalar, it stays in oneDNN's own layout.

    Args:
      after: a tensor to wait for.
    """
    channels = inputs.shape[-1].value
    # The variance is no constant for grappler: its remapper would make the batch norm Mul and Add,
    # which leave oneDNN's layout, with an rsqrt that does not give 1 (6 - 6 would not be 0).
    scales, offsets, means, variances = [
        _vector(value, channels, hidden)
        for value, hidden in ((scale, False), (offset, False), (0.0, False), (1.0, True))
    ]
    with tf.control_dependencies([] if after is None else [after.op]):
        # The raw op: tf.nn.fused_batch_norm raises epsilon to 1e-5.
        return tf.raw_ops.FusedBatchNorm(
            x=inputs,
            scale=scales,
            offset=offsets,
            mean=means,
            variance=variances,
            epsilon=0.0,
            is_training=False,
        ).y


_VECTORS = weakref.WeakKeyDictionary()


def _vector(value, channels, hidden):
    """[channels] times value, made once for a graph's loop body or top level."""
    graph = tf.get_default_graph()
    made = _VECTORS.setdefault(graph, {})
    key = (graph._get_control_flow_context(), value, channels, hidden)
    if key not in made:
        vector = tf.constant(value, tf.float32, [channels])
        made[key] = tf.placeholder_with_default(vector, [channels]) if hidden else vector
    return made[key]


def relu6_grad(grad, outputs):
    """dy where 0 < y < 6, by ReluGrad twice: no other op stays in oneDNN's own layout. For hosts
    without our kernel (mobilenet/native), and for NPUs that are compared with one.

    6 - y waits for dy: else it is computed in the forward pass and kept, a quarter more memory.
    """
    inside = tf.raw_ops.ReluGrad(gradients=grad, features=outputs)
    six_minus = affine(outputs, -1.0, 6.0, after=grad)
    return tf.raw_ops.ReluGrad(gradients=inside, features=six_minus)


@tf.RegisterGradient(RELU6)
def _relu6_gradient(op, grad):
    return relu6_grad(grad, op.outputs[0])


@tf.RegisterGradient(DEPTHWISE)
def _depthwise_gradient(op, grad):
    """As stock, but the weights' by TensorFlow's own kernel: oneDNN's takes three to nine times as
    long for 5x5 weights (V3-large: a third of a step).
    """
    (inputs, weights), strides, padding = op.inputs, op.get_attr('strides'), op.get_attr('padding')

    def weight_gradient(x, dy):
        return tf.nn.depthwise_conv2d_native_backprop_filter(
            x, weights.shape.as_list(), dy, strides, padding
        )

    input_gradient = tf.nn.depthwise_conv2d_native_backprop_input(
        tf.shape(inputs), weights, grad, strides, padding
    )
    return input_gradient, by_stock_kernels(weight_gradient, inputs, grad)
