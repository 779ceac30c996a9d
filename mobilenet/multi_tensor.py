"""What a step does to all weights: decay, overflow check, momentum, moving averages.

`Stock` has TensorFlow's ops, for any device; `Compiled` one op of our own for all weights (PyTorch
and Apex call that multi-tensor), with the same bits.
"""

import tensorflow as tf

from mobilenet import elementwise


class Stock:
    """On TensorFlow's own ops."""

    def unscale_and_decay(self, gradients, scale, variables, weight_decays):
        """gradient / scale + weight_decay * w of each variable: the gradient of the loss with l2
        in it.

        Not left to tf.gradients, which sums with AddN: that leaks memory in the oneDNN build.

        Args:
          gradients: float32 tensors, of the loss times `scale` (float32 scalar); weight_decays:
            Python floats, 0 where a variable is not decayed.
        """
        unscaled = _unscale(gradients, scale)
        with tf.name_scope('decayed'):
            return [
                tf.add(g, decay * v, name=v.op.name) if decay else g
                for g, v, decay in zip(unscaled, variables, weight_decays)
            ]

    def all_finite(self, tensors):
        """Scalar bool.

        By sums, which are finite only if every element is: one op a tensor, where is_finite takes
        two. (A sum of finite elements that overflows is past 1e32 an element: broken as well.)
        """
        sums = [tf.reduce_sum(t) for t in elementwise.pack(tensors)]
        return tf.reduce_all(tf.is_finite(tf.stack(sums)))

    def apply_momentum(self, variables, accums, gradients, learning_rate, momentum):
        """accum = momentum * accum + g; var -= lr * accum (no Nesterov); gives the ops."""
        return [
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle,
                accum=accum.handle,
                lr=learning_rate,
                grad=gradient,
                momentum=momentum,
                use_nesterov=False,
            )
            for variable, accum, gradient in zip(variables, accums, gradients)
        ]

    def move(self, averages, values, decay):
        """average -= (1 - decay) * (average - value) for each; gives the ops.

        averages: resource variables; values: tensors of their shapes, or variables.
        """
        rate = 1.0 - decay
        return [
            tf.raw_ops.ResourceApplyGradientDescent(var=average.handle, alpha=rate, delta=distance)
            for average, distance in zip(averages, elementwise.apply(tf.subtract, averages, values))
        ]


class Compiled(Stock):
    """On native/multi_tensor.cc's."""

    def __init__(self, ops):
        """ops: of native.load()."""
        self._ops = ops

    def unscale_and_decay(self, gradients, scale, variables, weight_decays):
        # One op a weight, not one for all: its gradient is in the processor's cache still.
        plain = [i for i, decay in enumerate(weight_decays) if not decay]
        results = dict(zip(plain, _unscale([gradients[i] for i in plain], scale)))
        with tf.name_scope('decayed'):
            for i, (g, v, decay) in enumerate(zip(gradients, variables, weight_decays)):
                if decay:
                    results[i] = self._ops.mobilenet_decay_gradient(
                        g, v.read_value(), scale, decay, name=v.op.name
                    )
        return [results[i] for i in range(len(gradients))]

    def all_finite(self, tensors):
        return self._ops.mobilenet_all_finite(tensors)

    def apply_momentum(self, variables, accums, gradients, learning_rate, momentum):
        if not variables:
            return []
        handles = _handles(variables), _handles(accums)
        return [self._ops.mobilenet_apply_momentum(learning_rate, gradients, *handles, momentum)]

    def move(self, averages, values, decay):
        if not averages:
            return []
        of_variables = hasattr(values[0], 'handle')
        return [
            self._ops.mobilenet_move_averages(
                1.0 - decay, _handles(values) if of_variables else values, _handles(averages)
            )
        ]


def _unscale(gradients, scale):
    with tf.name_scope('unscaled'):
        return elementwise.apply(lambda g: tf.realdiv(g, scale), gradients)


def _handles(variables):
    return [v.handle for v in variables]
