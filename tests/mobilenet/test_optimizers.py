"""Each optimizer against TensorFlow's own class of that name."""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import multi_tensor, optimizers
from tests.helpers.steps import settings

RATE = 0.1
# No value is a default of tf.train's: one that is not handed on is seen.
HP = {
    'momentum': 0.8,
    'opt_epsilon': 0.3,
    'rmsprop_momentum': 0.7,
    'rmsprop_decay': 0.6,
    'adam_beta1': 0.85,
    'adam_beta2': 0.95,
    'adagrad_initial_accumulator_value': 0.2,
    'adadelta_rho': 0.8,
    'ftrl_learning_rate_power': -0.6,
    'ftrl_initial_accumulator_value': 0.3,
    'ftrl_l1': 0.02,
    'ftrl_l2': 0.03,
}
THEIRS = {
    'sgd': lambda hp, rate: tf.train.GradientDescentOptimizer(rate),
    'momentum': lambda hp, rate: tf.train.MomentumOptimizer(rate, hp.momentum),
    'rmsprop': lambda hp, rate: tf.train.RMSPropOptimizer(
        rate, hp.rmsprop_decay, hp.rmsprop_momentum, hp.opt_epsilon
    ),
    'adam': lambda hp, rate: tf.train.AdamOptimizer(
        rate, hp.adam_beta1, hp.adam_beta2, hp.opt_epsilon
    ),
    'adagrad': lambda hp, rate: tf.train.AdagradOptimizer(
        rate, hp.adagrad_initial_accumulator_value
    ),
    'adadelta': lambda hp, rate: tf.train.AdadeltaOptimizer(rate, hp.adadelta_rho, hp.opt_epsilon),
    'ftrl': lambda hp, rate: tf.train.FtrlOptimizer(
        rate, hp.ftrl_learning_rate_power, hp.ftrl_initial_accumulator_value, hp.ftrl_l1, hp.ftrl_l2
    ),
}


def updated(name, our_rate, their_rate, gradients):
    """(ours, theirs) after updates from the same weights with the same gradients, and the slots of
    ours and theirs: {name within the variable: (initial value, value)}.
    """
    hp = settings(optimizer=name, learning_rate=RATE, **HP)
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = [
            tf.get_variable(n, initializer=[1.0, -2.0, 3.0], use_resource=True) for n in ('a', 'b')
        ]
        g, step = tf.placeholder(tf.float32, [3]), tf.placeholder(tf.float32, [])
        optimizer = optimizers.create(hp, multi_tensor.Stock())
        slots = optimizers.create_slots(optimizer, variables[:1])
        update = optimizer.update(variables[:1], slots, [g], tf.constant(our_rate), step)
        reference = THEIRS[name](hp, their_rate).apply_gradients([(g, variables[1])])
        assert tf.trainable_variables() == variables  # slots are not
        found = [
            {
                v.op.name.split('/', 1)[1]: v
                for v in tf.global_variables()
                if v.op.name.startswith(prefix)
            }
            for prefix in ('a/', 'b/')
        ]
        sess.run(tf.global_variables_initializer())
        before = sess.run(found)
        for i, value in enumerate(gradients):
            sess.run([update, reference], {g: value, step: i})
        return sess.run(variables), list(zip(before, sess.run(found)))


@pytest.mark.parametrize('name', sorted(THEIRS))
def test_weights_and_slots_are_those_of_tensorflows_own_class(name):
    """Five updates; slots by name, in their initial values and after."""
    gradients = np.random.RandomState(1).randn(5, 3).astype(np.float32)
    (ours, theirs), (our_slots, their_slots) = updated(name, RATE, RATE, gradients)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert not np.allclose(ours, [1.0, -2.0, 3.0])
    for mine, other in zip(our_slots, their_slots):
        assert set(mine) == set(other)
        for slot, value in mine.items():
            np.testing.assert_allclose(value, other[slot], rtol=1e-6, err_msg=slot)


def test_ftrl_at_a_rate_of_0_goes_on_as_at_a_millionth():
    """Its kernel divides by the rate, with which warm-up begins."""
    gradients = np.random.RandomState(1).randn(2, 3).astype(np.float32)
    (ours, theirs), ((_, our_slots), (_, their_slots)) = updated(
        'ftrl', 0.0, 1e-6 * RATE, gradients
    )
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-12)
    assert len(our_slots) == 2
    for slot, value in our_slots.items():  # one of them goes with the rate's inverse
        np.testing.assert_allclose(value, their_slots[slot], rtol=1e-5, err_msg=slot)
