"""One whole step against all its parts together, in numpy; what a NaN leaves as it was."""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import moving_averages
from mobilenet.errors import UsageError
from tests.helpers.short_networks import shortened
from tests.helpers.steps import BuiltStep, StepRun, settings, softmax


@pytest.fixture(scope='module', autouse=True)
def short():
    """The sums of a step do not know how deep the network is."""
    with shortened():
        yield


@pytest.fixture(scope='module')
def built():
    """The step of `settings()`: building it is most of a test."""
    with tf.Graph().as_default() as graph:
        return graph, StepRun(settings())


@pytest.fixture
def steps(built):
    """It, with the first values of all variables."""
    graph, steps = built
    with graph.as_default():
        steps.begin()
        yield steps


@pytest.mark.parametrize('scale', [1.0, 1024.0])
def test_two_whole_steps_in_numpy(steps, scale):
    """Loss, L2, momentum, batch norm statistics and EMA, from the fetched logits, gradients and
    batch statistics.
    """
    steps.state.loss_scale.load(scale, steps.sess)
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
        assert loss == pytest.approx(-(target * np.log(softmax(logits))).sum(1).mean(), rel=1e-5)
        decayed = [n for n in trained if n.endswith('/weights')]
        assert len(decayed) == 3  # the first convolution, the pointwise one, the classifier
        l2 = 0.01 * sum((before[n].astype(np.float64) ** 2).sum() for n in decayed) / 2
        assert total - loss == pytest.approx(l2, rel=1e-4)
        ema_decay = min(0.99, (1 + number) / (10 + number))
        for name, gradient in zip(trained, gradients):
            accumulator = 0.9 * before[name + '/Momentum'] + gradient
            np.testing.assert_allclose(after[name + '/Momentum'], accumulator, rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(
                after[name], before[name] - 0.1 * accumulator, rtol=1e-5, atol=1e-6
            )
        averaged = [n for n in before if n + moving_averages.EMA_SUFFIX in before]
        assert len(averaged) == len(trained) + 2 * 3  # batch norm statistics too
        for name in averaged:
            expected = (
                ema_decay * before[name + moving_averages.EMA_SUFFIX]
                + (1 - ema_decay) * after[name]
            )
            np.testing.assert_allclose(
                after[name + moving_averages.EMA_SUFFIX], expected, rtol=1e-4, atol=1e-6
            )
        assert after['global_step'] == number + 1


def test_batch_norm_statistics_move_with_the_capped_decay(steps):
    conv = [op for op in tf.get_default_graph().get_operations() if op.type == 'Conv2D'][0].outputs[
        0
    ]
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


def test_a_nan_halts_and_changes_nothing_at_all(steps):
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


HEAD = 'MobilenetV1/Logits/Conv2d_1c_1x1/'
LAST = 'MobilenetV1/Conv2d_1_pointwise/'


def test_what_is_not_in_the_scopes_stays():
    """Statistics and averages too; a batch norm that is trained moves both."""
    with tf.Graph().as_default():
        scopes = ['Logits', 'MobilenetV1/Conv2d_1_pointwise/BatchNorm']
        steps = StepRun(settings(trainable_scopes=scopes))
        before = steps.read()
        steps.run()
        after = steps.read()
        moved = {n for n in before if not np.array_equal(before[n], after[n])}
    names = {n.replace('/ExponentialMovingAverage', '').replace('/Momentum', '') for n in moved}
    norm = [LAST + 'BatchNorm/' + n for n in ('gamma', 'beta', 'moving_mean', 'moving_variance')]
    names = {name for name in names if name.startswith('MobilenetV1')}
    assert names == {HEAD + 'weights', HEAD + 'biases', *norm}


def test_a_scope_of_nothing_is_refused():
    with tf.Graph().as_default(), pytest.raises(UsageError, match='--trainable_scopes: .*Logits'):
        BuiltStep(settings(trainable_scopes=['Logit']))


def test_the_last_layer_has_a_rate_of_its_own():
    moved = []
    for factor in (1.0, 10.0):
        with tf.Graph().as_default():
            steps = StepRun(settings(head_lr_factor=factor, weight_decay=0.0))
            before = steps.read()
            steps.run()
            after = steps.read()
        moved.append({n: after[n] - before[n] for n in (HEAD + 'weights', LAST + 'weights')})
    np.testing.assert_allclose(
        moved[1][HEAD + 'weights'], 10 * moved[0][HEAD + 'weights'], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        moved[1][LAST + 'weights'], moved[0][LAST + 'weights'], rtol=1e-4, atol=1e-6
    )


def test_averages_that_are_trusted_start_slowly():
    """But for the last layer's, which is new as a rule."""
    with tf.Graph().as_default():
        steps = StepRun(settings(trusted_updates=890.0, moving_average_decay=0.9999))
        before = steps.read()
        steps.run()
        after = steps.read()
    for name, decay in ((LAST + 'weights', 891 / 900), (HEAD + 'weights', 0.1)):
        average = name + '/ExponentialMovingAverage'
        wanted = decay * before[average] + (1 - decay) * after[name]
        np.testing.assert_allclose(after[average], wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    'model_name', ['mobilenet_v1_025', 'mobilenet_v2_035', 'mobilenet_v3_small']
)
def test_the_step_has_no_add_n_of_tensors(model_name):
    """tf.add_n leaks memory in the oneDNN build."""
    with tf.Graph().as_default() as graph:
        BuiltStep(settings(model_name=model_name))
        assert not [op.name for op in graph.get_operations() if op.type == 'AddN']
