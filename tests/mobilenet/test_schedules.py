"""Learning rates against the formulas, by Python's own numbers."""

import math

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import schedules
from tests.helpers.steps import settings

SCHEDULES = {
    'fixed': lambda s, hp: 0.1,
    'exponential': lambda s, hp: 0.1 * 0.94 ** (s // 10),
    'polynomial': lambda s, hp: (0.1 - 0.001) * (1 - min(s, 100) / 100) + 0.001,
    'cosine_annealing': lambda s, hp: 0.05 * (1 + math.cos(math.pi * min(s, 100) / 100)),
}


@pytest.mark.parametrize('name', sorted(SCHEDULES))
@pytest.mark.parametrize('warmup', [0, 16.5])
def test_schedules_with_warmup(name, warmup):
    hp = settings(learning_rate_decay_type=name, warmup_steps=warmup)
    steps = np.arange(0, 130, dtype=np.float32)
    with tf.Graph().as_default():
        step = tf.placeholder(tf.float32, [])
        rate = schedules.learning_rate(step, hp)
        with tf.Session() as sess:
            got = [sess.run(rate, {step: s}) for s in steps]
    expected = [SCHEDULES[name](float(s), hp) for s in steps]
    if warmup:
        expected = [min(0.1 * s / warmup, e) for s, e in zip(steps, expected)]
        assert got[0] == 0.0
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-8)
