"""Loop sinking: the variables under npu_runconfig and the wrapper named IterationOp."""

import tensorflow as tf

SCOPE = 'npu_runconfig'
NAMES = ('iterations_per_loop', 'loop_cond', 'zero', 'one')


def create_or_get_var(name):
    """The int64 resource variable npu_runconfig/NAME of the graph; local, found by collection."""
    collection = f'{SCOPE}_{name}'
    found = tf.get_collection(collection)
    if found:
        return found[0]
    global_step = tf.train.get_global_step()
    with tf.get_default_graph().colocate_with(global_step, ignore_existing=global_step is None):
        with tf.variable_scope(SCOPE, reuse=tf.AUTO_REUSE):
            return tf.get_variable(
                name,
                shape=[],
                dtype=tf.int64,
                trainable=False,
                initializer=tf.zeros_initializer(),
                use_resource=True,
                collections=[collection, tf.GraphKeys.LOCAL_VARIABLES],
            )


def _check(train_op, iterations):
    if not isinstance(train_op, tf.Operation):
        raise ValueError(f"train_op is a '{train_op.dtype.name}', and must be an Operation")
    if not isinstance(iterations, int):
        raise TypeError(f'iterations_per_loop must be int, got {type(iterations)}')
    if iterations <= 0:
        raise ValueError(f'iterations_per_loop must be positive, got {iterations}')


def _load(variables, sess, iterations):
    # The device counts from 0 up to the value: N - 1 is N iterations.
    for variable, value in zip(variables, (iterations - 1, 0, 0, 1)):
        variable.load(value, session=sess)


def set_iteration_per_loop(sess, train_op, iterations_per_loop=1):
    """Creates and loads in one; gives IterationOp, or `train_op` itself for 1 iteration."""
    _check(train_op, iterations_per_loop)
    if iterations_per_loop == 1:
        return train_op
    _load([create_or_get_var(n) for n in NAMES], sess, iterations_per_loop)
    return tf.group(train_op, name='IterationOp')


class IterationPerLoop:
    """Creating, before the graph is finalized, and loading, at any time after."""

    def create_iteration_per_loop_var(self, train_op):
        _check(train_op, 1)
        self._variables = [create_or_get_var(n) for n in NAMES]
        return tf.group(train_op, name='IterationOp')

    def load_iteration_per_loop_var(self, sess, iterations_per_loop=1):
        _check(self._variables[0].initializer, iterations_per_loop)
        _load(self._variables, sess, iterations_per_loop)
