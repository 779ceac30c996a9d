"""The optimizers of TF-slim's training script, on TensorFlow's own update kernels.

An optimizer is a list of slots (suffix of the variable's name as tf.train's optimizers name it,
initial value) and an update. Slots are named as in TF-slim's checkpoints:
`MobilenetV1/Conv2d_0/weights/Momentum`.
"""

import collections

import tensorflow as tf

Optimizer = collections.namedtuple('Optimizer', ['slots', 'update'])


def create(config, multi_tensor):
    """The Optimizer for config.optimizer, on a device's arithmetic (see multi_tensor.py).

    `slots`: list of (suffix, initial value). `update(variables, slots, gradients, learning_rate,
    step)`: slots as create_slots gives them, step the float32 count of updates done so far; gives
    ops.
    """
    return _OPTIMIZERS[config.optimizer](config, multi_tensor)


def _of_each(create_one):
    """Of the Optimizer whose update is of one variable, that whose update is of all."""

    def create_all(config, multi_tensor):
        del multi_tensor
        slots, update_one = create_one(config)

        def update(variables, slots, gradients, learning_rate, step):
            rows = zip(variables, slots, gradients)
            return [update_one(*row, learning_rate, step) for row in rows]

        return Optimizer(slots, update)

    return create_all


def create_slots(optimizer, variables):
    """Slot variables of each variable: a list as long as `variables` of lists."""
    return [
        [
            tf.get_variable(
                f'{v.op.name}/{suffix}',
                v.shape,
                tf.float32,
                tf.constant_initializer(initial),
                trainable=False,
                use_resource=True,
            )
            for suffix, initial in optimizer.slots
        ]
        for v in variables
    ]


@_of_each
def _sgd(config):
    del config
    return Optimizer(
        [],
        lambda var, slots, g, lr, step: tf.raw_ops.ResourceApplyGradientDescent(
            var=var.handle, alpha=lr, delta=g
        ),
    )


def _momentum(config, multi_tensor):
    def update(variables, slots, gradients, learning_rate, step):
        del step
        accums = [accum for (accum,) in slots]
        return multi_tensor.apply_momentum(
            variables, accums, gradients, learning_rate, config.momentum
        )

    return Optimizer([('Momentum', 0.0)], update)


@_of_each
def _rmsprop(config):
    return Optimizer(
        [('RMSProp', 1.0), ('RMSProp_1', 0.0)],
        lambda var, slots, g, lr, step: tf.raw_ops.ResourceApplyRMSProp(
            var=var.handle,
            ms=slots[0].handle,
            mom=slots[1].handle,
            lr=lr,
            rho=config.rmsprop_decay,
            momentum=config.rmsprop_momentum,
            epsilon=config.opt_epsilon,
            grad=g,
        ),
    )


@_of_each
def _adam(config):
    def update(var, slots, g, lr, step):
        return tf.raw_ops.ResourceApplyAdam(
            var=var.handle,
            m=slots[0].handle,
            v=slots[1].handle,
            beta1_power=tf.pow(config.adam_beta1, step + 1.0),
            beta2_power=tf.pow(config.adam_beta2, step + 1.0),
            lr=lr,
            beta1=config.adam_beta1,
            beta2=config.adam_beta2,
            epsilon=config.opt_epsilon,
            grad=g,
        )

    return Optimizer([('Adam', 0.0), ('Adam_1', 0.0)], update)


@_of_each
def _adagrad(config):
    return Optimizer(
        [('Adagrad', config.adagrad_initial_accumulator_value)],
        lambda var, slots, g, lr, step: tf.raw_ops.ResourceApplyAdagrad(
            var=var.handle, accum=slots[0].handle, lr=lr, grad=g
        ),
    )


@_of_each
def _adadelta(config):
    return Optimizer(
        [('Adadelta', 0.0), ('Adadelta_1', 0.0)],
        lambda var, slots, g, lr, step: tf.raw_ops.ResourceApplyAdadelta(
            var=var.handle,
            accum=slots[0].handle,
            accum_update=slots[1].handle,
            lr=lr,
            rho=config.adadelta_rho,
            epsilon=config.opt_epsilon,
            grad=g,
        ),
    )


@_of_each
def _ftrl(config):
    floor = 1e-6 * config.learning_rate  # the kernel divides by the rate, which warm-up starts at 0
    return Optimizer(
        [('Ftrl', config.ftrl_initial_accumulator_value), ('Ftrl_1', 0.0)],
        lambda var, slots, g, lr, step: tf.raw_ops.ResourceApplyFtrl(
            var=var.handle,
            accum=slots[0].handle,
            linear=slots[1].handle,
            grad=g,
            lr=tf.maximum(lr, floor),
            l1=config.ftrl_l1,
            l2=config.ftrl_l2,
            lr_power=config.ftrl_learning_rate_power,
        ),
    )


_OPTIMIZERS = {
    'sgd': _sgd,
    'momentum': _momentum,
    'rmsprop': _rmsprop,
    'adam': _adam,
    'adagrad': _adagrad,
    'adadelta': _adadelta,
    'ftrl': _ftrl,
}
