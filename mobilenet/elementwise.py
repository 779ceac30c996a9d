"""Elementwise arithmetic on many small tensors at once.

A MobileNet has a hundred vectors (gamma, beta, batch norm statistics) of a few kB each. An op costs
about the same whatever so small a tensor holds, so that most of a small network's step was
arithmetic on them one by one.
"""

import tensorflow as tf


def apply(function, *columns):
    """[function(a, b, …) for a, b, … in zip(*columns)], where the vectors go through in one call.

    Args:
      function: float32 tensors of one shape -> a tensor of that shape, element by element, so that
        the bits do not depend on what is beside an element.
      columns: lists of equal length of float32 tensors or variables with static shapes.
    """
    vectors = [i for i, first in enumerate(columns[0]) if first.shape.ndims == 1]
    results = [None] * len(columns[0])
    if len(vectors) > 1:
        flat = function(*[tf.concat([column[i] for i in vectors], 0) for column in columns])
        parts = tf.split(flat, [columns[0][i].shape[0].value for i in vectors])
        for i, part in zip(vectors, parts):
            results[i] = part
    return [
        function(*row) if result is None else result for result, row in zip(results, zip(*columns))
    ]


def pack(tensors):
    """The tensors, their vectors as one."""
    vectors = [t for t in tensors if t.shape.ndims == 1]
    if len(vectors) < 2:
        return list(tensors)
    return [t for t in tensors if t.shape.ndims != 1] + [tf.concat(vectors, 0)]
