"""Where an activation goes two ways: residual additions, and squeeze-and-excite's scaling.

Left to itself, tf.gradients sums what comes back with AddN, which in the oneDNN build leaks memory.
Here one way leaves its part, and the other's gradient function adds it with tf.add, whose bits are
the same. The first is always called before: it lies behind the second in the network.
"""

import weakref

import tensorflow as tf

_PARTS = weakref.WeakKeyDictionary()  # graph -> {(gradients' scope, name of the op): part}


def split(inputs, mode):
    """The inputs of a block whose end is `add_back`."""
    if not mode.training:
        return inputs
    with tf.get_default_graph().gradient_override_map({'Identity': 'MobilenetSplit'}):
        return tf.identity(inputs, name='block_inputs')


def add_back(net, inputs, mode):
    """net + inputs, which come from `split`; name `output`."""
    override = {'Add': 'MobilenetAddBack'} if mode.training else {}
    with tf.get_default_graph().gradient_override_map(override):
        return tf.add(net, inputs, name='output')


def pool(inputs):
    """Mean over height and width, [batch, 1, 1, channels], of what `scale` scales."""
    with tf.get_default_graph().gradient_override_map({'Mean': 'MobilenetPool'}):
        return tf.reduce_mean(inputs, [1, 2], keepdims=True, name='global_pool')


def scale(inputs, gate):
    """inputs * gate, [batch, 1, 1, channels], which is computed from pool(inputs)."""
    with tf.get_default_graph().gradient_override_map({'Mul': 'MobilenetScale'}):
        return tf.multiply(inputs, gate, name='output')


@tf.RegisterGradient('MobilenetAddBack')
def _add_back_gradient(op, grad):
    _leave(op, op.inputs[1].op.name, grad)
    return grad, None


@tf.RegisterGradient('MobilenetSplit')
def _split_gradient(op, grad):
    part = _take(op, op.name)
    return grad if part is None else tf.add(grad, part)


@tf.RegisterGradient('MobilenetScale')
def _scale_gradient(op, grad):
    inputs, gate = op.inputs
    _leave(op, inputs.name, grad * gate)
    return None, tf.reduce_sum(grad * inputs, [1, 2], keepdims=True)


@tf.RegisterGradient('MobilenetPool')
def _pool_gradient(op, grad):
    _, height, width, _ = op.inputs[0].shape.as_list()
    mean = grad * (1.0 / (height * width))
    part = _take(op, op.inputs[0].name)
    if part is None:
        return tf.broadcast_to(mean, tf.shape(op.inputs[0])), None
    return tf.add(part, mean), None


def _leave(op, name, part):
    _PARTS.setdefault(op.graph, {})[_call(op), name] = part


def _take(op, name):
    return _PARTS.get(op.graph, {}).pop((_call(op), name), None)


def _call(op):
    """The scope of this call of tf.gradients: each has its own, with scopes of ops below it."""
    scope = op.graph.get_name_scope()
    return scope[: scope.rindex(op.name + '_grad')]
