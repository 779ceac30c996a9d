"""The learning rate as a function of the global step."""

import math

import tensorflow as tf


def learning_rate(step, config):
    """Linear warm-up from 0, capped by the schedule: min(base * step / warmup_steps,
    schedule(step)).

    Args:
      step: float32 scalar tensor, steps done so far.
      config: has learning_rate (base), learning_rate_decay_type, total_steps, warmup_steps,
        decay_steps and learning_rate_decay_factor (exponential, in stairs), end_learning_rate
        (polynomial of power 1).

    Returns:
      float32 scalar tensor. After total_steps it stays at its last value.
    """
    rate = _SCHEDULES[config.learning_rate_decay_type](step, config)
    if config.warmup_steps:
        rate = tf.minimum(config.learning_rate * step / float(config.warmup_steps), rate)
    return rate


def _fixed(step, config):
    del step
    return tf.constant(config.learning_rate, tf.float32)


def _exponential(step, config):
    return config.learning_rate * tf.pow(
        config.learning_rate_decay_factor, tf.floor(step / float(config.decay_steps))
    )


def _polynomial(step, config):
    left = 1.0 - tf.minimum(step / float(config.total_steps), 1.0)
    return (config.learning_rate - config.end_learning_rate) * left + config.end_learning_rate


def _cosine_annealing(step, config):
    """Loshchilov & Hutter 2017 (SGDR), one period over the whole run."""
    done = tf.minimum(step / float(config.total_steps), 1.0)
    return 0.5 * config.learning_rate * (1.0 + tf.cos(math.pi * done))


_SCHEDULES = {
    'fixed': _fixed,
    'exponential': _exponential,
    'polynomial': _polynomial,
    'cosine_annealing': _cosine_annealing,
}
