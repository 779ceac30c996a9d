"""Dropout's masks against Python's own integers, and as random numbers."""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import dropout

SHAPE = [6, 1, 1, 50]


def masks(shape, keep_prob, seed, rank, numbers):
    with tf.Graph().as_default(), tf.Session() as session:
        number = tf.placeholder(tf.int64, [])
        mask = dropout.mask(shape, keep_prob, seed, rank, number)
        return np.stack([session.run(mask, {number: n}) for n in numbers])


def by_python(shape, keep_prob, seed, rank, number):
    """The mask by integers without a largest number."""
    p, examples, places = dropout.PRIME, shape[0], int(np.prod(shape[1:]))
    keys = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32, rank]).randint(
        1, p, size=(3, 2 * examples)
    )
    x = np.random.RandomState(places).randint(0, p, size=[1, places])[0]
    key = [
        pow(number % p * int(k0) + number // p * int(k1) + int(k2), 3, p) for k0, k1, k2 in keys.T
    ]
    rows = [
        [(max(a, 1) * int(v) + b) % p < round(keep_prob * p) for v in x]
        for a, b in zip(key[:examples], key[examples:])
    ]
    return np.array(rows, np.float32).reshape(shape)


@pytest.mark.parametrize('seed,rank', [(0, 0), (7, 3), (2**40 + 1, 1)])
def test_masks_are_those_of_exact_integers(seed, rank):
    numbers = [0, 1, 2, 32716, 32717, 32718, 65434, 1_000_000, 2**30 - 1]
    got = masks(SHAPE, 0.8, seed, rank, numbers)
    for mask, number in zip(got, numbers):
        np.testing.assert_array_equal(mask, by_python(SHAPE, 0.8, seed, rank, number))


def test_division_is_exact_at_every_multiple_and_at_the_ends():
    p = dropout.PRIME
    multiples = np.arange(0, 2**31 // p - 1, dtype=np.int64) * p
    x = np.unique(np.clip(np.concatenate([multiples + d for d in (-1, 0, 1)]), 0, 2 * p * p))
    with tf.Graph().as_default(), tf.Session() as session:
        quotient, rest = session.run(dropout._divide(tf.constant(x, tf.int32)))
    np.testing.assert_array_equal(quotient, x // p)
    np.testing.assert_array_equal(rest, x % p)


def test_only_ops_that_an_npu_has_without_doubt():
    with tf.Graph().as_default() as graph:
        dropout.mask(SHAPE, 0.8, 1, 0, tf.constant(5, tf.int64))
    assert {op.type for op in graph.get_operations()} <= set(
        'Const Cast Mul Add AddV2 Sub Floor GreaterEqual Less Maximum Reshape Unpack'.split()
    )


@pytest.mark.parametrize('keep_prob', [0.8, 0.999])
def test_masks_are_random_enough(keep_prob):
    shape = [32, 1, 1, 1024]
    drawn = masks(shape, keep_prob, 3, 0, range(20)).reshape(20, 32, 1024)
    deviation = np.sqrt(keep_prob * (1 - keep_prob))

    def check(means, draws):  # of as many independent draws each: five standard deviations
        assert np.abs(means - keep_prob).max() < 5 * deviation / np.sqrt(draws)

    check(drawn.mean(), drawn.size)
    check(drawn.mean((1, 2)), 32 * 1024)  # of each batch
    check(drawn.mean((0, 2)), 20 * 1024)  # of each example
    if keep_prob < 0.9:
        check(drawn.mean((0, 1)), 20 * 32)  # of each place
    # Another batch, example, rank or seed has another mask, as independent draws would.
    other = [
        masks(shape, keep_prob, 3, 1, [0])[0].reshape(32, 1024),
        masks(shape, keep_prob, 4, 0, [0])[0].reshape(32, 1024),
        drawn[1],
        np.roll(drawn[0], 1, axis=0),
        np.roll(drawn[0], 1, axis=1),
    ]
    for mask in other:
        both = ((drawn[0] - keep_prob) * (mask - keep_prob)).mean()
        assert abs(both) < 5 * deviation**2 / np.sqrt(mask.size)
