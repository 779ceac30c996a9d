"""The learning rate as a function of the global step."""

import math

import tensorflow as tf


def learning_rate(step, hp):
    """Linear warm-up from 0, capped by the schedule: min(base * step / warmup_steps,
    schedule(step)).

    Args:
      step: float32 scalar tensor, steps done so far.
      hp: has learning_rate (base), learning_rate_decay_type, total_steps, warmup_steps,
        decay_steps and learning_rate_decay_factor (exponential, in stairs), end_learning_rate
        (polynomial of power 1).

    Returns:
      float32 scalar tensor. After total_steps it stays at its last value.
    """
    rate = _SCHEDULES[hp.learning_rate_decay_type](step, hp)
    if hp.warmup_steps:
        rate = tf.minimum(hp.learning_rate * step / float(hp.warmup_steps), rate)
    return rate


def _fixed(step, hp):
    del step
    return tf.constant(hp.learning_rate, tf.float32)


def _exponential(step, hp):
    return hp.learning_rate * tf.pow(
        hp.learning_rate_decay_factor, tf.floor(step / float(hp.decay_steps))
    )


def _polynomial(step, hp):
    left = 1.0 - tf.minimum(step / float(hp.total_steps), 1.0)
    return (hp.learning_rate - hp.end_learning_rate) * left + hp.end_learning_rate


def _cosine_annealing(step, hp):
    """Loshchilov & Hutter 2017 (SGDR), one period over the whole run."""
    done = tf.minimum(step / float(hp.total_steps), 1.0)
    return 0.5 * hp.learning_rate * (1.0 + tf.cos(math.pi * done))


_SCHEDULES = {
    'fixed': _fixed,
    'exponential': _exponential,
    'polynomial': _polynomial,
    'cosine_annealing': _cosine_annealing,
}
