"""Histograms from numpy against TensorFlow's own summary op, bucket by bucket; norms against
numpy's.
"""

import collections

import numpy as np
import pytest
import tensorflow as tf

from mobilenet.comparison import statistics
from mobilenet.debug import layer_summaries

RNG = np.random.RandomState(0)
LIMITS = 1e-12 * np.power(1.1, np.arange(700.0))
ARRAYS = collections.OrderedDict(
    [
        ('normal', RNG.randn(3, 5, 1000).astype(np.float32)),
        ('many', (RNG.randn(300001) * 1e-3).astype(np.float32)),  # more than a piece
        ('relu', np.maximum(RNG.randn(64, 64), 0).astype(np.float32)),
        ('half', RNG.randn(100).astype(np.float16)),
        ('integers', RNG.randint(-3, 1000, [50])),
        ('bytes', RNG.randint(0, 255, [50]).astype(np.uint8)),
        ('scalar', np.array(3.5)),
        ('zeros', np.zeros([4, 4], np.float32)),
        ('minus_zero', np.array([-0.0, 0.0])),
        ('negative', -np.abs(RNG.randn(70))),
        ('wide', np.concatenate([s * 10.0 ** RNG.uniform(-40, 40, 500) for s in (1, -1)])),
        (
            'limits',
            np.concatenate([layer_summaries.LIMITS[1:-1], LIMITS, -LIMITS]),
        ),  # each on the border of two buckets
        ('extremes', np.array([np.finfo(np.float64).min, 1e20, 1e-12, -1e-12, 5e-324])),
        ('ends', np.array([-1e-13, 1e19])),
    ]
)


@pytest.fixture(scope='module')
def of_tensorflow():
    """{name: HistogramProto} by tf.summary.histogram."""
    with tf.Graph().as_default(), tf.Session() as sess:
        ops = [tf.summary.histogram(name, tf.constant(array)) for name, array in ARRAYS.items()]
        protos = [tf.Summary.FromString(serialized) for serialized in sess.run(ops)]
    return {name: proto.value[0].histo for name, proto in zip(ARRAYS, protos)}


@pytest.mark.parametrize('name', ARRAYS)
def test_histogram_is_tensorflows(name, of_tensorflow):
    (value,) = layer_summaries.histograms({'weights/' + name: ARRAYS[name]}).value
    found, expected = value.histo, of_tensorflow[name]
    assert value.tag == 'weights/' + name
    assert list(found.bucket_limit) == list(expected.bucket_limit)
    assert list(found.bucket) == list(expected.bucket)
    assert (found.min, found.max, found.num) == (expected.min, expected.max, expected.num)
    # sums are not of the same order
    assert found.sum == pytest.approx(
        expected.sum, rel=1e-12, abs=1e-15 * np.abs(ARRAYS[name].astype(float)).sum()
    )
    assert found.sum_squares == pytest.approx(expected.sum_squares, rel=1e-12)


def test_non_finite_values_are_counted_apart():
    clean = RNG.randn(1000).astype(np.float32)
    dirty = np.insert(clean, [0, 500, 1000], [np.nan, np.inf, -np.inf]).reshape(17, 59)
    summary = layer_summaries.histograms(
        collections.OrderedDict(
            [
                ('activations/a', dirty),
                ('gradients/b', clean),
                ('weights/c', np.full([2], np.nan)),
                ('weights/d', np.zeros([0])),
            ]
        )
    )
    kinds = [(value.tag, value.WhichOneof('value')) for value in summary.value]
    assert kinds == [
        ('activations/a', 'histo'),
        ('non_finite/activations/a', 'simple_value'),
        ('gradients/b', 'histo'),
        ('non_finite/weights/c', 'simple_value'),
    ]
    assert summary.value[0].histo == summary.value[2].histo
    assert [summary.value[i].simple_value for i in (1, 3)] == [3, 2]


def test_norms():
    weights = collections.OrderedDict(
        [
            ('Conv2d_0/weights', np.array([[3.0, -4.0]], np.float32)),
            ('Conv2d_0/beta', np.zeros(2)),
            ('Logits/biases', np.array([1.0, np.inf])),
            ('moving_mean', np.array([2.0])),
        ]
    )
    gradients = collections.OrderedDict(
        [
            ('Conv2d_0/weights', np.array([[0.3, 0.4]])),
            ('Conv2d_0/beta', np.ones(4)),
            ('Logits/biases', np.array([np.nan])),
        ]
    )
    summary = layer_summaries.norms(weights, gradients)
    found = collections.OrderedDict((value.tag, value.simple_value) for value in summary.value)
    expected = {
        'weight_norm/Conv2d_0/weights': 5,
        'weight_norm/Conv2d_0/beta': 0,
        'weight_norm/Logits/biases': np.inf,
        'weight_norm/moving_mean': 2,
        'gradient_norm/Conv2d_0/weights': 0.5,
        'gradient_norm/Conv2d_0/beta': 2,
        'gradient_norm/Logits/biases': np.nan,
        'gradient_to_weight/Conv2d_0/weights': 0.1,
        'gradient_to_weight/Logits/biases': np.nan,
    }
    assert len(summary.value) == len(found)
    assert found == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_norm_of_a_large_float16_array_does_not_overflow():
    array = RNG.randn(statistics.PIECE + 7).astype(np.float16) * np.float16(1000)
    (value,) = layer_summaries.norms({'w': array}, {}).value
    assert value.simple_value == pytest.approx(np.linalg.norm(array.astype(np.float64)), rel=1e-6)


def test_figures_beyond_their_types():
    (value,) = layer_summaries.norms({'w': np.full([100], 1e38, np.float32)}, {}).value
    assert value.simple_value == np.inf
    largest = np.finfo(np.float64).max
    (value,) = layer_summaries.histograms({'w': np.array([largest, 1.0])}).value
    assert (
        list(value.histo.bucket)[-1] == 1
        and value.histo.bucket_limit[-1] == value.histo.max == largest
    )


def test_tensorboard_reads_them(tmp_path):
    """Written as the run writes them, and read back by TensorFlow."""
    with tf.Graph().as_default():
        writer = tf.summary.FileWriter(str(tmp_path))
        writer.add_summary(layer_summaries.histograms({'weights/a': ARRAYS['normal']}), 7)
        writer.add_summary(layer_summaries.norms({'a': ARRAYS['normal']}, {}), 7)
        writer.close()
    (path,) = tmp_path.iterdir()
    events = [event for event in tf.train.summary_iterator(str(path)) if event.summary.value]
    assert [(event.step, event.summary.value[0].tag) for event in events] == [
        (7, 'weights/a'),
        (7, 'weight_norm/a'),
    ]
    assert sum(events[0].summary.value[0].histo.bucket) == 15000
