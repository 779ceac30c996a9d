"""Moving averages against tf.train's own, update by update."""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import moving_averages, multi_tensor


@pytest.mark.parametrize('decay', [0.0, 0.2, 0.9997])
def test_averages_move_as_those_of_tensorflows_own_class(decay):
    """Twelve updates: with 0.2 the cap of the first steps passes the decay itself."""
    values = np.random.RandomState(0).randn(12, 3).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as sess:
        value, step = tf.placeholder(tf.float32, [3]), tf.placeholder(tf.float32, [])
        variable = tf.get_variable('v', initializer=[1.0, -2.0, 3.0], use_resource=True)
        average = tf.get_variable('a', initializer=[1.0, -2.0, 3.0], use_resource=True)
        decay_now = moving_averages.effective_decay(decay, step)
        move = multi_tensor.Stock().move([average], [value], decay_now)
        theirs = tf.train.ExponentialMovingAverage(decay, num_updates=step)
        with tf.control_dependencies([variable.assign(value)]):
            reference = theirs.apply([variable])
        sess.run(tf.global_variables_initializer())
        for number, v in enumerate(values):
            sess.run([move, reference], {value: v, step: number})
            np.testing.assert_allclose(*sess.run([average, theirs.average(variable)]), rtol=1e-6)


def test_averages_of_variables_are_resources_named_as_those_of_slim_and_start_as_they_do():
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = [
            tf.get_variable('Net/a', [2, 3], use_resource=True),
            tf.get_variable('Net/b', [], use_resource=True),
        ]
        theirs = tf.train.ExponentialMovingAverage(0.9)
        names = [theirs.average_name(v) for v in variables]
        averages = moving_averages.create_ema(variables)
        for variable, average, name in zip(variables, averages, names):
            assert average.op.name == name
            assert average.op.type == 'VarHandleOp' and average.dtype.base_dtype == tf.float32
            assert average.shape == variable.shape
        assert tf.trainable_variables() == variables
        sess.run(tf.global_variables_initializer())
        assert sess.run(variables[0]).any()
        for variable, average in zip(variables, averages):
            np.testing.assert_array_equal(*sess.run([variable, average]))
        averages[0].load(np.full([2, 3], 7.0), sess)
        assert (sess.run(averages[0]) == 7).all() and not (sess.run(variables[0]) == 7).any()


def test_a_value_goes_to_a_variable_and_its_average():
    names = ['a', 'a/ExponentialMovingAverage', 'b']
    found = moving_averages.with_averages({'a': 1, 'b': 2}, names)
    assert found == {'a': 1, 'a/ExponentialMovingAverage': 1, 'b': 2}
