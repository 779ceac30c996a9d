"""Figures of one tensor, and of a tensor against its golden. numpy only.

All sums are float64 and run over pieces of a tensor, so that one of 100 MB needs a few MB more.
"""

import collections
import math

import numpy as np

PIECE = 1 << 18  # elements: 2 MB in float64
EPSILON = float(np.finfo(np.float64).eps)  # what the vendor takes for zero
NAMES = (
    'CosineSimilarity',
    'MaxAbsoluteError',
    'AccumulatedRelativeError',
    'RelativeEuclideanDistance',
    'MeanAbsoluteError',
    'RootMeanSquareError',
    'MaxRelativeError',
    'MeanRelativeError',
)


def pieces(*arrays):
    """Float64 copies of the same piece of each array, one piece after the other."""
    flat = [np.asarray(array).reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, PIECE):
        yield [array[start : start + PIECE].astype(np.float64) for array in flat]


def norm(array):
    """The Euclidean norm; NaN or inf where an element is."""
    return float(np.sqrt(sum(np.dot(piece, piece) for (piece,) in pieces(array))))


def describe(array):
    """What a tensor holds, as an OrderedDict of floats.

    mean, std, min, max: over the finite values; NaN where there is none.
    zeros, non_finite: shares of all values.
    fp16_underflow: of the finite values that are not 0, the share that becomes 0 in float16.
    fp16_overflow: of the finite values, the share that becomes infinite in float16.
    Any shape, 0-d and empty too (shares are 0 there); integers and bools as numbers.
    """
    finite_count = total = zeros = underflow = overflow = 0
    low, high = math.inf, -math.inf
    for (values,) in pieces(array):
        values = values[np.isfinite(values)]
        if not values.size:
            continue
        finite_count += values.size
        total += values.sum()
        low, high = min(low, values.min()), max(high, values.max())
        zeros += np.count_nonzero(values == 0)
        with np.errstate(over='ignore'):
            half = values.astype(np.float16)
        underflow += np.count_nonzero((half == 0) & (values != 0))
        overflow += np.count_nonzero(np.isinf(half))
    size = np.asarray(array).size
    mean = total / finite_count if finite_count else math.nan
    return collections.OrderedDict(
        (name, float(value))
        for name, value in (
            ('mean', mean),
            ('std', _std(array, mean, finite_count)),
            ('min', low if finite_count else math.nan),
            ('max', high if finite_count else math.nan),
            ('zeros', _share(zeros, size)),
            ('non_finite', _share(size - finite_count, size)),
            ('fp16_underflow', _share(underflow, finite_count - zeros)),
            ('fp16_overflow', _share(overflow, finite_count)),
        )
    )


def _share(count, of):
    return count / of if of else 0.0


def _std(array, mean, finite_count):
    """In a pass of its own: the difference of two large sums would lose the digits."""
    if not finite_count:
        return math.nan
    total = 0.0
    for (values,) in pieces(array):
        total += np.square(values[np.isfinite(values)] - mean).sum()
    return math.sqrt(total / finite_count)


def compare(a, b):
    """Tensor `a` against its golden `b` of the same shape: the vendor's eight figures by their
    names.

    CosineSimilarity           sum(a b) / (|a| |b|); 1 where both are all zero, NaN where one is
    MaxAbsoluteError           max |a - b|
    AccumulatedRelativeError   sum of |a - b| / |b| over the elements where b is not zero
    RelativeEuclideanDistance  |a - b| / |b|; 0 where b is all zero, whatever a is: look at
                               MaxAbsoluteError then
    MeanAbsoluteError          mean |a - b|
    RootMeanSquareError        sqrt(mean (a - b)^2)
    MaxRelativeError           max |a - b| / |b| over the elements where b is not zero
    MeanRelativeError          AccumulatedRelativeError / number of all elements
    NonFiniteA, NonFiniteB     counts of NaN and infinities

    |x| of a tensor is its Euclidean norm. Zero is, as there, what is not above float64's epsilon,
    2.2e-16. Source: the algorithms built into CANN's tools/operator_cmp/compare/algorithm_manager.
    Departures from it:
      - it works in float32 and rounds; here sums and differences are float64, unrounded;
      - a NaN on either side makes nearly all its figures NaN; here all eight are over the elements
        that are finite on both sides, and the others are counted;
      - for a scalar it says CosineSimilarity 1 whatever the values; here it follows the formula: 1
        or -1;
      - for bools it gives only CosineSimilarity and RelativeEuclideanDistance; here all, of zeros
        and ones.
    """
    sums, max_absolute, max_relative = _sums(a, b)
    count, norm_b = max(sums['count'], 1), math.sqrt(sums['bb'])
    values = (
        _cosine(sums['ab'], sums['aa'], sums['bb']),
        max_absolute,
        sums['relative'],
        math.sqrt(sums['square']) / norm_b if norm_b > EPSILON else 0.0,
        sums['error'] / count,
        math.sqrt(sums['square'] / count),
        max_relative,
        sums['relative'] / count,
    )
    found = collections.OrderedDict((name, float(value)) for name, value in zip(NAMES, values))
    found.update(NonFiniteA=int(sums['bad_a']), NonFiniteB=int(sums['bad_b']))
    return found


def _sums(a, b):
    """(Counter of sums over the elements, largest |a - b|, largest |a - b| / |b|)."""
    sums = collections.Counter()
    max_absolute = max_relative = 0.0
    for x, y in pieces(a, b):
        finite_x, finite_y = np.isfinite(x), np.isfinite(y)
        sums['bad_a'] += x.size - np.count_nonzero(finite_x)
        sums['bad_b'] += y.size - np.count_nonzero(finite_y)
        both = finite_x & finite_y
        if not both.all():
            x, y = x[both], y[both]
        if not x.size:
            continue
        error, size = np.abs(x - y), np.abs(y)
        not_zero = size > EPSILON
        relative = error[not_zero] / size[not_zero]
        max_absolute = max(max_absolute, error.max())
        max_relative = max(max_relative, relative.max() if relative.size else 0.0)
        for name, value in (
            ('count', x.size),
            ('ab', np.dot(x, y)),
            ('aa', np.dot(x, x)),
            ('bb', np.dot(y, y)),
            ('error', error.sum()),
            ('square', np.dot(error, error)),
            ('relative', relative.sum()),
        ):
            sums[name] += value
    return sums, max_absolute, max_relative


def _cosine(dot, square_a, square_b):
    zero_a, zero_b = square_a <= EPSILON**2, square_b <= EPSILON**2
    if zero_a or zero_b:
        return 1.0 if zero_a and zero_b else math.nan
    return max(
        -1.0, min(1.0, dot / math.sqrt(square_a * square_b))
    )  # one root: exactly 1 where a is b


def same_non_finite(a, b):
    """Whether NaN, inf and -inf stand in the same places of both."""
    for x, y in pieces(a, b):
        for test in (np.isnan, np.isposinf, np.isneginf):
            if not np.array_equal(test(x), test(y)):
                return False
    return True


def all_zero(array):
    """Whether `compare` takes a golden for all zero."""
    total = 0.0
    for (values,) in pieces(array):
        values = values[np.isfinite(values)]
        total += np.dot(values, values)
    return math.sqrt(total) <= EPSILON
