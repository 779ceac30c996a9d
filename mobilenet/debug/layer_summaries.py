"""TensorBoard summaries of layers, made of a step's arrays: norms, and histograms as TensorFlow
makes them.

In numpy rather than as summary ops, so that a run that is not looked at has not one op more in its
graph.
"""

import numpy as np
import tensorflow as tf

from mobilenet.comparison import statistics


def norms(weights, gradients):
    """tf.Summary of Euclidean norms, as scalars.

    weights, gradients: {short name, such as 'Conv2d_0/weights': array}, of any shapes.
    Tags: weight_norm/NAME, gradient_norm/NAME, and gradient_to_weight/NAME = gradient norm / weight
    norm for names in both, but for weights that are all 0 (beta at the start), which have no such
    ratio. A norm is NaN or inf where an element is, and inf above float32's range, which a summary
    has.
    """
    summary = tf.Summary()
    weight_norms = {name: statistics.norm(array) for name, array in weights.items()}
    gradient_norms = {name: statistics.norm(array) for name, array in gradients.items()}
    for tag, found in (('weight_norm', weight_norms), ('gradient_norm', gradient_norms)):
        for name, norm in found.items():
            summary.value.add(tag=f'{tag}/{name}', simple_value=_float32(norm))
    for name, norm in gradient_norms.items():
        if weight_norms.get(name, 0) != 0:
            ratio = norm / weight_norms[name]
            summary.value.add(tag=f'gradient_to_weight/{name}', simple_value=_float32(ratio))
    return summary


def histograms(values):
    """tf.Summary of histograms.

    values: {tag, such as 'activations/Conv2d_0' or 'gradients/Conv2d_0/weights': array}, of any
    shapes. NaN and infinities are left out and counted in a scalar non_finite/TAG, which is there
    only where there are any. An array without a finite element has no histogram.
    """
    summary = tf.Summary()
    for tag, array in values.items():
        histogram, non_finite = _histogram(array)
        if histogram.num:
            summary.value.add(tag=tag, histo=histogram)
        if non_finite:
            summary.value.add(tag=f'non_finite/{tag}', simple_value=non_finite)
    return summary


def _float32(value):
    with np.errstate(over='ignore'):
        return float(np.float32(value))


def _bucket_limits():
    """Upper ends of TensorFlow's buckets: ±1e-12 * 1.1^n up to 1e20, 0, and the largest of float64
    at both ends.

    Source: tensorflow/core/lib/histogram/histogram.cc. Multiplied step by step as there, for the
    same last bits.
    """
    positive = [1e-12]
    while positive[-1] * 1.1 < 1e20:
        positive.append(positive[-1] * 1.1)
    positive.append(np.finfo(np.float64).max)
    return np.array([-limit for limit in reversed(positive)] + [0.0] + positive)


LIMITS = _bucket_limits()


def _histogram(array):
    """(tf.HistogramProto of the finite values, number of the others). Bucket i: limit i - 1 <=
    value < limit i.
    """
    counts = np.zeros(len(LIMITS), np.int64)
    low, high, total, squares = np.inf, -np.inf, 0.0, 0.0
    for (piece,) in statistics.pieces(array):
        piece = piece[np.isfinite(piece)]
        if not piece.size:
            continue
        index = np.searchsorted(LIMITS, piece, side='right')
        index = np.minimum(
            index, len(LIMITS) - 1
        )  # the largest float64, which TensorFlow counts out of bounds
        counts += np.bincount(index, minlength=len(LIMITS))
        low, high = min(low, piece.min()), max(high, piece.max())
        total, squares = total + piece.sum(), squares + np.dot(piece, piece)
    num = int(counts.sum())
    histogram = tf.HistogramProto(min=low, max=high, num=num, sum=total, sum_squares=squares)
    for limit, count in _without_empty_runs(counts):
        histogram.bucket_limit.append(limit)
        histogram.bucket.append(count)
    return histogram, np.size(array) - num


def _without_empty_runs(counts):
    """[(limit, count)] in which a run of empty buckets is one, which ends where the run does."""
    full = counts > 0
    kept = full | np.append(full[1:], True)  # the last of a run stands for all of it
    return zip(LIMITS[kept].tolist(), counts[kept].tolist())
