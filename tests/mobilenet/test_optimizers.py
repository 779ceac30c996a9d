"""Each optimizer against TensorFlow's own class of that name."""

import numpy as np
import tensorflow as tf

from mobilenet import optimizers
from tests.helpers.steps import settings


def test_optimizers_against_tensorflows_own_classes():
    """Five updates of each of our optimizers and of tf.train's, from the same weights with the same gradients."""
    theirs = {
        'sgd': lambda hp: tf.train.GradientDescentOptimizer(0.1),
        'momentum': lambda hp: tf.train.MomentumOptimizer(0.1, hp.momentum),
        'rmsprop': lambda hp: tf.train.RMSPropOptimizer(
            0.1, hp.rmsprop_decay, hp.rmsprop_momentum, hp.opt_epsilon
        ),
        'adam': lambda hp: tf.train.AdamOptimizer(
            0.1, hp.adam_beta1, hp.adam_beta2, hp.opt_epsilon
        ),
        'adagrad': lambda hp: tf.train.AdagradOptimizer(0.1, hp.adagrad_initial_accumulator_value),
        'adadelta': lambda hp: tf.train.AdadeltaOptimizer(0.1, hp.adadelta_rho, hp.opt_epsilon),
        'ftrl': lambda hp: tf.train.FtrlOptimizer(
            0.1, hp.ftrl_learning_rate_power, hp.ftrl_initial_accumulator_value
        ),
    }
    gradients = np.random.RandomState(1).randn(5, 3).astype(np.float32)
    for name, create in sorted(theirs.items()):
        with tf.Graph().as_default(), tf.Session() as sess:
            hp = settings(optimizer=name)
            ours, other = [
                tf.get_variable(n, initializer=[1.0, -2.0, 3.0], use_resource=True)
                for n in ('a', 'b')
            ]
            g, step = tf.placeholder(tf.float32, [3]), tf.placeholder(tf.float32, [])
            optimizer = optimizers.create(hp)
            update = optimizer.update(
                ours, optimizers.create_slots(optimizer, [ours])[0], g, tf.constant(0.1), step
            )
            reference = create(hp).apply_gradients([(g, other)])
            sess.run(tf.global_variables_initializer())
            for i, value in enumerate(gradients):
                sess.run([update, reference], {g: value, step: i})
            a, b = sess.run([ours, other])
            np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=name)
            assert not np.allclose(a, [1.0, -2.0, 3.0])
            slots = {
                v.op.name.split('/', 1)[1]
                for v in tf.global_variables()
                if v.op.name.startswith('a/')
            }
            assert slots == {
                v.op.name.split('/', 1)[1]
                for v in tf.global_variables()
                if v.op.name.startswith('b/')
            }
