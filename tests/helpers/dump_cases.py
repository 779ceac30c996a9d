"""What the tests of dumps share: tensors of a small step, and the figures by a plain loop."""

import math
import os

import numpy as np

from mobilenet.comparison import dump_files

TIME = 1600000000000000


def plain_figures(a, b):
    """The eight figures by one loop over floats, from the formulas in the vendor's manual."""
    pairs = [
        (float(x), float(y))
        for x, y in zip(a.ravel().tolist(), b.ravel().tolist())
        if math.isfinite(x) and math.isfinite(y)
    ]
    errors = [abs(x - y) for x, y in pairs]
    relative = [abs(x - y) / abs(y) for x, y in pairs if y != 0]

    def root(values):
        return math.sqrt(math.fsum(v * v for v in values))

    size_a, size_b = root([x for x, _ in pairs]), root([y for _, y in pairs])
    return [
        math.fsum(x * y for x, y in pairs) / size_a / size_b,
        max(errors),
        math.fsum(relative),
        root(errors) / size_b,
        math.fsum(errors) / len(pairs),
        root(errors) / math.sqrt(len(pairs)),
        max(relative),
        math.fsum(relative) / len(pairs),
    ]


def tensor(name, position, value, op=None, output=0, layer=''):
    before = {
        'op': 'before/' + name,
        'type': 'Conv2D',
        'source': 'mobilenet/nets/layers.py:60 conv2d',
    }
    return dump_files.Tensor(
        name,
        op or name.replace(':', '/'),
        output,
        'Relu6',
        layer,
        position,
        'mobilenet/nets/layers.py:95 conv2d',
        [before],
        np.asarray(value),
    )


def network(scale=None, layers=4, seed=0):
    """A step: images, of each layer a weight and an activation, gradients backwards. scale: {tensor
    name: factor}.
    """
    random = np.random.RandomState(seed)
    names = (
        ['images']
        + [f'{kind}:layer_{i}' for i in range(layers) for kind in ('weight', 'act')]
        + [f'grad:layer_{i}' for i in reversed(range(layers))]
    )
    return [
        tensor(
            name,
            i,
            (random.normal(size=(3, 5)) * (scale or {}).get(name, 1)).astype(np.float32),
            layer=name.partition(':')[2],
        )
        for i, name in enumerate(names)
    ]


def put(folder, name, value):
    os.makedirs(str(folder), exist_ok=True)
    np.save(os.path.join(str(folder), name), np.asarray(value))
