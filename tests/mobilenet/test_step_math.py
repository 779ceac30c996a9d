"""The parts of the step against their definitions in numpy, and one whole step against all of them together."""

import math
import types

import numpy as np
import pytest
import tensorflow as tf

from hccl import collectives
from mobilenet import loss_scale, losses, moving_averages, optimizers, schedules, train_step
from mobilenet import state as run_state
from mobilenet.devices import host


def settings(**changes):
    hp = {
        'model_name': 'mobilenet_v1_025',
        'num_classes': 7,
        'float16': False,
        'dropout': False,
        'seed': 0,
        'label_smoothing': 0.1,
        'weight_decay': 0.01,
        'optimizer': 'momentum',
        'momentum': 0.9,
        'learning_rate': 0.1,
        'learning_rate_decay_type': 'fixed',
        'learning_rate_decay_factor': 0.94,
        'end_learning_rate': 0.001,
        'total_steps': 100,
        'warmup_steps': 0,
        'decay_steps': 10,
        'dynamic_loss_scale': False,
        'moving_average_decay': 0.99,
        'trainable_scopes': [],
        'stop_on_nan': True,
        'opt_epsilon': 0.1,
        'rmsprop_momentum': 0.8,
        'rmsprop_decay': 0.7,
        'adam_beta1': 0.9,
        'adam_beta2': 0.99,
        'adagrad_initial_accumulator_value': 0.1,
        'adadelta_rho': 0.9,
        'ftrl_learning_rate_power': -0.5,
        'ftrl_initial_accumulator_value': 0.1,
        'ftrl_l1': 0.0,
        'ftrl_l2': 0.0,
    }
    hp.update(changes)
    return types.SimpleNamespace(**hp)


def run(tensor):
    with tf.Session() as sess:
        return sess.run(tensor)


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 1.0])
def test_label_smoothing(smoothing):
    rng = np.random.RandomState(0)
    logits, labels = rng.randn(5, 7).astype(np.float32), rng.randint(0, 7, 5)
    target = np.eye(7)[labels] * (1 - smoothing) + smoothing / 7
    expected = -(target * np.log(softmax(logits.astype(np.float64)))).sum(1).mean()
    with tf.Graph().as_default():
        got = run(
            losses.smoothed_cross_entropy(
                tf.constant(logits), tf.constant(labels, tf.int32), smoothing
            )
        )
    assert got == pytest.approx(expected, rel=1e-6)


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


def test_loss_scale_doubles_after_1000_good_steps_and_halves_but_not_under_one():
    with tf.Graph().as_default(), tf.Session() as sess:
        scale, count, good = (
            tf.placeholder(tf.float32, []),
            tf.placeholder(tf.int64, []),
            tf.placeholder(tf.bool, []),
        )
        step = loss_scale.next_scale(scale, count, good, True)
        s, n = 4.0, 0
        history = []
        for ok in [True] * 1000 + [True] * 999 + [False] * 5 + [True]:
            s, n = sess.run(step, {scale: s, count: n, good: ok})
            history.append((float(s), int(n)))
    assert history[998] == (4.0, 999) and history[999] == (8.0, 0)
    assert [h[0] for h in history[1998:]] == [8.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    assert history[-1] == (1.0, 1)


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


class StepRun:
    """A step of a small network, run one by one outside any loop, with everything in it to be fetched."""

    def __init__(self, hp, scale=1.0):
        rng = np.random.RandomState(0)
        self.images = rng.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
        self.labels = rng.randint(0, 7, 4).astype(np.int32)
        tf.set_random_seed(3)
        self.state = run_state.create(scale, 1)
        self.feed = tf.placeholder(tf.float32, [4, 32, 32, 3])
        self.step = train_step.build(
            self.feed,
            tf.constant(self.labels),
            hp,
            self.state,
            host.HostDevice(),
            collectives.SingleRank(),
        )
        self.sess = tf.Session()
        start_ema = train_step.ema_from_variables()
        self.sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        self.sess.run(start_ema)

    def values(self):
        return {v.op.name: v for v in tf.global_variables()}

    def read(self):
        return dict(zip(self.values(), self.sess.run(list(self.values().values()))))

    def run(self, fetches=(), images=None):
        return self.sess.run(
            [fetches, self.step.train_op], {self.feed: self.images if images is None else images}
        )[0]


@pytest.mark.parametrize('scale', [1.0, 1024.0])
def test_two_whole_steps_in_numpy(scale):
    """Loss, L2, momentum, batch norm statistics and EMA, from the fetched logits, gradients and batch statistics."""
    with tf.Graph().as_default():
        hp = settings()
        steps = StepRun(hp, scale)
        trained = [v.op.name for v in steps.step.variables]
        for number in range(2):
            before = steps.read()
            logits, loss, total, gradients = steps.run(
                [
                    steps.step.end_points['Logits'],
                    steps.step.loss,
                    steps.step.total_loss,
                    steps.step.gradients,
                ]
            )
            after = steps.read()
            logits = logits.reshape(4, 7)
            target = np.eye(7)[steps.labels] * 0.9 + 0.1 / 7
            assert loss == pytest.approx(
                -(target * np.log(softmax(logits))).sum(1).mean(), rel=1e-5
            )
            decayed = [n for n in trained if n.endswith('/weights')]
            assert len(decayed) == 15  # the first convolution, 13 pointwise ones, the classifier
            l2 = 0.01 * sum((before[n].astype(np.float64) ** 2).sum() for n in decayed) / 2
            assert total - loss == pytest.approx(l2, rel=1e-4)
            ema_decay = min(0.99, (1 + number) / (10 + number))
            for name, gradient in zip(trained, gradients):
                accumulator = 0.9 * before[name + '/Momentum'] + gradient
                np.testing.assert_allclose(
                    after[name + '/Momentum'], accumulator, rtol=1e-5, atol=1e-7
                )
                np.testing.assert_allclose(
                    after[name], before[name] - 0.1 * accumulator, rtol=1e-5, atol=1e-6
                )
            averaged = [n for n in before if n + moving_averages.EMA_SUFFIX in before]
            assert len(averaged) == len(trained) + 2 * 27  # batch norm statistics too
            for name in averaged:
                expected = (
                    ema_decay * before[name + moving_averages.EMA_SUFFIX]
                    + (1 - ema_decay) * after[name]
                )
                np.testing.assert_allclose(
                    after[name + moving_averages.EMA_SUFFIX], expected, rtol=1e-4, atol=1e-6
                )
            assert after['global_step'] == number + 1


def test_batch_norm_statistics_move_with_the_capped_decay():
    with tf.Graph().as_default():
        steps = StepRun(settings())
        conv = [op for op in tf.get_default_graph().get_operations() if op.type == 'Conv2D'][
            0
        ].outputs[0]
        for number in range(2):
            before = steps.read()
            activation = steps.run(conv).reshape(-1, 8).astype(np.float64)
            after = steps.read()
            decay = min(0.9997, (1 + number) / (10 + number))
            for leaf, value in (
                ('moving_mean', activation.mean(0)),
                ('moving_variance', activation.var(0, ddof=1)),
            ):
                name = 'MobilenetV1/Conv2d_0/BatchNorm/' + leaf
                np.testing.assert_allclose(
                    after[name], decay * before[name] + (1 - decay) * value, rtol=1e-4, atol=1e-6
                )


def test_a_nan_halts_and_changes_nothing_at_all():
    with tf.Graph().as_default():
        steps = StepRun(settings())
        steps.run()
        before = steps.read()
        bad = steps.images.copy()
        bad[2, 5, 5, 1] = np.nan
        steps.run(images=bad)
        steps.run()  # a good batch, but the loop stands still until the host has looked
        after = steps.read()
        for name, value in before.items():
            assert np.array_equal(value, after[name]), name
        assert steps.sess.run(steps.state.halted) == 1


def test_a_nan_is_skipped_with_nan_policy_skip():
    with tf.Graph().as_default():
        steps = StepRun(settings(stop_on_nan=False))
        bad = np.full_like(steps.images, np.nan)
        before = steps.read()
        steps.run(images=bad)
        after = steps.read()
        assert after['skipped_steps'] == 1 and after['global_step'] == 0
        assert all(np.array_equal(before[n], after[n]) for n in before if n != 'skipped_steps')
        steps.run()
        assert steps.read()['global_step'] == 1


def test_trainable_scopes_match_whole_names():
    with tf.Graph().as_default():
        for name in ('Net/a/w', 'Net/ab/w', 'Net/b'):
            tf.get_variable(name, [1])
        names = lambda scopes: [v.op.name for v in train_step.trained_variables(scopes)]
        assert names(['Net/a']) == ['Net/a/w']
        assert names(['Net/a/', 'Net/b']) == ['Net/a/w', 'Net/b']
        assert len(names([])) == 3
