"""Scopes match whole components, with or without the network's own."""

import pytest

from mobilenet import scopes
from mobilenet.errors import UsageError

NAMES = [
    f'MobilenetV1/{layer}/weights'
    for layer in ('Conv2d_0', 'Conv2d_1_depthwise', 'Conv2d_10_depthwise', 'Logits/Conv2d_1c_1x1')
]


@pytest.mark.parametrize(
    'scope,found',
    [
        ('Conv2d_1', []),
        ('Conv2d_1_depthwise', [1]),
        ('MobilenetV1/Conv2d_1_depthwise/', [1]),
        ('MobilenetV1', [0, 1, 2, 3]),
        ('Logits', [3]),
        ('MobilenetV1/Logits/Conv2d_1c_1x1/weights', [3]),
        ('MobilenetV2', []),
        ('weights', []),
    ],
)
def test_whole_components(scope, found):
    assert [i for i, n in enumerate(NAMES) if scopes.within(n, [scope], 'MobilenetV1')] == found


def test_what_matches_nothing_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match='--x: nothing .* Conv2d_1: .* are Conv2d_1_depthwise, '):
        scopes.check('x', ['Conv2d_0', 'Conv2d_1'], NAMES, 'MobilenetV1')
    with pytest.raises(UsageError, match='Logit: the nearest are Logits'):
        scopes.check('x', ['Logit'], NAMES, 'MobilenetV1')
    scopes.check('x', ['Logits'], NAMES, 'MobilenetV1')
