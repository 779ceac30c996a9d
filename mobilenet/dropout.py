"""Which activations dropout keeps: integer arithmetic that gives the same bits on every device.

A random op would do on a host. On an NPU what sinks is decided op by op, by CANN's list of
supported ops; one that is not on it runs on the host once a loop, so that all steps of the loop
have one mask. TensorFlow's stateless random ops may be missing there (the IR has other ones), and
the vendor's own dropout has other bits than a host. Mul, Add, Sub, Floor, Cast and comparisons are
there, and exact on int32 as long as nothing overflows, which a prime under 2^15 sees to.
"""

import numpy as np
import tensorflow as tf

PRIME = 32717  # the largest under 2^15 modulo which every number is the cube of one other


def mask(shape, keep_prob, seed, rank, number):
    """float32 of `shape`: 1 with probability keep_prob (in steps of 1 / PRIME), else 0.

    A function of (seed, rank, number) and the place alone. Of one example any two places are
    independent, over the examples (Carter & Wegman 1979, "Universal Classes of Hash Functions":
    a x + b modulo a prime), and a and b of an example are cubes modulo the prime.

    Args:
      shape: list of int, examples first; keep_prob, seed (0 or above) and rank: Python numbers.
      number: int64 scalar, the batch's number, under 2^30.
    """
    examples, places = shape[0], int(np.prod(shape[1:], dtype=np.int64))
    random = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32, rank])
    keys = random.randint(1, PRIME, size=(3, 2 * examples)).astype(np.int32)
    x = np.random.RandomState(places).randint(0, PRIME, size=[1, places]).astype(np.int32)
    with tf.name_scope('dropout_mask'):
        high, low = _divide(tf.cast(number, tf.int32))
        key = _divide(low * keys[0] + high * keys[1] + keys[2])[1]
        key = _divide(_divide(key * key)[1] * key)[1]
        a, b = tf.unstack(tf.reshape(key, [2, examples, 1]))
        hashed = _divide(tf.maximum(a, 1) * x + b)[1]
        kept = tf.less(hashed, int(round(keep_prob * PRIME)))
        return tf.reshape(tf.cast(kept, tf.float32), shape)


def _divide(x):
    """(x // PRIME, x % PRIME) of int32 in [0, 2^31 - PRIME).

    Not FloorDiv and FloorMod, which a device may do by float32, inexact above 2^24: here a float32
    quotient, never above the true one and at most 1 under it, is put right.
    """
    quotient = tf.floor(tf.cast(x, tf.float32) * (1.0 / PRIME) - 256.0 / PRIME)
    quotient = tf.cast(quotient, tf.int32)
    rest = x - quotient * PRIME
    over = tf.cast(tf.greater_equal(rest, PRIME), tf.int32)
    return quotient + over, rest - over * PRIME
