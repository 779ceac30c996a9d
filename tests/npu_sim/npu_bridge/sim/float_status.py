"""The float status register: raised by ops that overflow, read and cleared by these.

In TensorFlow's own graph nothing raises it: `raised` is a constant. Where the device saturates,
npu_bridge.sim.overflow puts the overflows that the device would have seen in its place.
"""

import tensorflow as tf
from tensorflow.python.ops import gen_resource_variable_ops, gen_state_ops

from npu_bridge.sim.marks import standing_for

REGISTER = 'npu_sim_float_register'
RAISED = 'raised'


def npu_alloc_float_status(name=None):
    """float32 [1] of zeros, filled in place by npu_get_float_status: a reference in TensorFlow."""
    with standing_for('NpuAllocFloatStatus', name):
        status = gen_state_ops.temporary_variable(
            shape=[1],
            dtype=tf.float32,
            var_name=f'npu_float_status_{tf.get_default_graph().version}',
        )
        return tf.assign(status, [0.0], name='float_status')


def npu_get_float_status(input_float, name=None):
    """Fills what npu_alloc_float_status gave with the register as it is after the ops before it."""
    if not input_float.dtype._is_ref_dtype:
        raise ValueError('npu_get_float_status takes what npu_alloc_float_status gave')
    with standing_for('NpuGetFloatStatus', name):
        return tf.assign(input_float, tf.reshape(_read(), [1]), name='filled')


def npu_clear_float_status(float_status, name=None):
    """Zeroes the register, and gives the zeros of a status without overflow."""
    with standing_for('NpuClearFloatStatus', name):
        with tf.control_dependencies([float_status]):
            cleared = _write(tf.constant(0.0))
        with tf.control_dependencies([cleared]):
            return tf.zeros([1], name='cleared')


def npu_get_float_status_v2(name=None):
    """int32 [8]; zeros where there was no overflow."""
    with standing_for('NpuGetFloatStatusV2', name):
        return tf.cast(tf.fill([8], _read()), tf.int32)


def npu_clear_float_status_v2(name=None):
    """Zeroes the register; gives nothing."""
    with standing_for('NpuClearFloatStatusV2', name):
        return _write(tf.constant(0.0))


def _read():
    """The register, raised by what the ops in the tf.control_dependencies around needed."""
    raised = tf.constant(0.0, name=RAISED)
    register = _register()
    # A register that nothing wrote yet is clear.
    with tf.control_dependencies([raised]):
        written = gen_resource_variable_ops.var_is_initialized_op(register)
    old = tf.cond(
        written,
        lambda: gen_resource_variable_ops.read_variable_op(register, tf.float32),
        lambda: tf.constant(0.0),
    )
    new = tf.maximum(tf.reshape(old, []), raised)
    with tf.control_dependencies([_write(new)]):
        return tf.identity(new)


def _write(value):
    return gen_resource_variable_ops.assign_variable_op(_register(), value)


def _register():
    return gen_resource_variable_ops.var_handle_op(dtype=tf.float32, shape=[], shared_name=REGISTER)
