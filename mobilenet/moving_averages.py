"""Moving averages: batch norm statistics, and the weights' own (EMA)."""

import tensorflow as tf

from mobilenet import elementwise

EMA_SUFFIX = '/ExponentialMovingAverage'


def effective_decay(decay, step):
    """min(decay, (1 + step) / (10 + step)): an early average is not mostly its initial value.

    Source: tf.train.ExponentialMovingAverage's num_updates.

    Args:
      decay: Python float; step: float32 scalar, updates done so far.
    """
    return tf.minimum(decay, (1.0 + step) / (10.0 + step))


def move(averages, values, decay):
    """average -= (1 - decay) * (average - value) for each; gives the ops.

    averages: resource variables; values: tensors of their shapes, or variables.
    """
    rate = 1.0 - decay
    return [
        tf.raw_ops.ResourceApplyGradientDescent(var=average.handle, alpha=rate, delta=distance)
        for average, distance in zip(averages, elementwise.apply(tf.subtract, averages, values))
    ]


def create_ema(variables):
    """EMA variables, named `NAME/ExponentialMovingAverage` as TF-slim's; they start as their
    variables do.
    """
    return [
        tf.get_variable(
            v.op.name + EMA_SUFFIX,
            v.shape,
            tf.float32,
            tf.zeros_initializer(),
            trainable=False,
            use_resource=True,
        )
        for v in variables
    ]
