"""Loss scaling (Micikevicius et al. 2018, "Mixed Precision Training"): fixed, or dynamic."""

import tensorflow as tf

GROWTH_STEPS = 1000  # good steps in a row after which a dynamic scale doubles
SMALLEST = 1.0


def next_scale(scale, good_steps, good, dynamic):
    """The scale and the count of good steps after one more step.

    Doubles after GROWTH_STEPS good steps in a row, halves on overflow, never under 1. Fixed stays.

    Args:
      scale: float32 scalar; good_steps: int64 scalar, good steps in a row so far;
      good: bool scalar, whether this step was one; dynamic: Python bool.

    Returns:
      (float32 scalar, int64 scalar)
    """
    in_a_row = tf.where(good, good_steps + 1, tf.zeros_like(good_steps))
    if not dynamic:
        return scale, in_a_row
    grows = tf.equal(in_a_row, GROWTH_STEPS)
    shrunk = tf.maximum(scale * 0.5, tf.minimum(scale, SMALLEST))
    grown = tf.where(grows, scale * 2.0, scale)
    return tf.where(good, grown, shrunk), tf.where(grows, tf.zeros_like(in_a_row), in_a_row)
