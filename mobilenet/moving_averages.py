"""Moving averages: batch norm statistics, and the weights' own (EMA)."""

import tensorflow as tf

EMA_SUFFIX = '/ExponentialMovingAverage'


def effective_decay(decay, step):
    """min(decay, (1 + step) / (10 + step)): an early average is not mostly its initial value.

    Source: tf.train.ExponentialMovingAverage's num_updates.

    Args:
      decay: Python float; step: float32 scalar, updates done so far.
    """
    return tf.minimum(decay, (1.0 + step) / (10.0 + step))


def create_ema(variables):
    """EMA variables, named `NAME/ExponentialMovingAverage` as TF-slim's; their initial values are
    those of their variables.
    """

    def initializer_of(variable):
        # An op of its own, which can be fed without the variable's.
        return lambda *_, **__: tf.identity(variable.initial_value)

    return [
        tf.get_variable(
            v.op.name + EMA_SUFFIX,
            v.shape,
            tf.float32,
            initializer_of(v),
            trainable=False,
            use_resource=True,
        )
        for v in variables
    ]


def with_averages(values, names):
    """{name: value} of variables, and of their EMA the same, where `names` has one."""
    averages = {name + EMA_SUFFIX: value for name, value in values.items()}
    return {**values, **{name: value for name, value in averages.items() if name in names}}
