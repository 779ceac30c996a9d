"""Overflow on an NPU: the device's float status register, and gradients that are not finite.

A device has one of two modes. Saturating (910A): an overflow gives the largest number and NaN is 0,
only the register tells. INF/NaN (Atlas A2, A3, by default): both are real, and the register may
stay silent. So a step overflowed on either sign, in both modes.

The register tells of any op since it was last cleared. Newer adapters have a second version of its
ops, without the status that the first ones fill in place; it is used where it is there.
"""

import tensorflow as tf

from mobilenet.multi_tensor import Stock


def is_saturating():
    """Whether the device hides infinities and NaN; None where the adapter cannot say."""
    from npu_bridge.estimator.npu import npu_plugin

    asked = getattr(npu_plugin, 'is_inf_nan_enabled', None)
    return None if asked is None else not asked()


class FloatStatus:
    """Overflow of one step, alike on all ranks. `begin` before the step, then `all_finite`, once
    each.
    """

    def __init__(self, collectives):
        """collectives: None where there is one rank."""
        self._collectives = collectives
        ops = _gen_ops()
        newer = hasattr(ops, 'npu_get_float_status_v2')
        self._register = _RegisterV2(ops) if newer else _RegisterV1(ops)

    def begin(self, images):
        """The step's images, once the register is clear of what raised it before."""
        with tf.control_dependencies([self._register.clear()]):
            return tf.identity(images)

    def all_finite(self, mean_gradients, after):
        """Scalar bool: no rank overflowed, and all of mean_gradients (after the all-reduce) are
        finite.

        after: further tensors whose computation counts, such as this rank's own gradients.
        """
        status = self._register.get(list(mean_gradients) + list(after))
        if self._collectives is not None and self._collectives.size > 1:
            # Before the decision, so that all ranks decide alike.
            status = self._collectives.allreduce_sum_unfused(status)
        silent = tf.reduce_all(tf.equal(status, tf.zeros_like(status)))
        return tf.logical_and(silent, Stock().all_finite(mean_gradients))


class _RegisterV1:
    """npu_alloc_float_status and the ops that work on what it gave, in place."""

    def __init__(self, ops):
        self._ops = ops
        self._status = ops.npu_alloc_float_status()

    def clear(self):
        return self._ops.npu_clear_float_status(self._status)

    def get(self, tensors):
        """float32 [1], the register after `tensors`; cleared behind it, as the guides do."""
        with tf.control_dependencies(tensors):
            filled = self._ops.npu_get_float_status(self._status)
        with tf.control_dependencies([filled, self._ops.npu_clear_float_status(filled)]):
            return tf.identity(self._status)


class _RegisterV2:
    def __init__(self, ops):
        self._ops = ops

    def clear(self):
        return self._ops.npu_clear_float_status_v2()

    def get(self, tensors):
        """int32 [8], the register after `tensors`; cleared behind it, as the vendor's optimizer
        does.
        """
        with tf.control_dependencies(tensors):
            status = self._ops.npu_get_float_status_v2()
        with tf.control_dependencies([status]):
            cleared = self._ops.npu_clear_float_status_v2()
        with tf.control_dependencies([cleared]):
            return tf.identity(status)


def _gen_ops():
    from npu_bridge.helper import helper

    return helper.get_gen_ops()
