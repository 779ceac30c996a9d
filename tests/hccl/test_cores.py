"""Which cores each rank gets."""

import pytest

from hccl.cores import assign_cores
from mobilenet.errors import UsageError


@pytest.mark.parametrize(
    'bind, ranks, allowed, expected',
    [
        ('auto', 2, range(2), [[0], [1]]),
        ('auto', 2, [1, 3, 4, 6, 9], [[1, 3], [4, 6]]),
        ('auto', 1, range(4), [[0, 1, 2, 3]]),
        ('auto', 5, [2, 5], [[2], [5], [2], [5], [2]]),
        ('none', 2, range(2), [None, None]),
        ('0-1,6:2-3', 2, range(8), [[0, 1, 6], [2, 3]]),
    ],
)
def test_shares_of_cores(bind, ranks, allowed, expected):
    assert assign_cores(bind, ranks, allowed) == expected


@pytest.mark.parametrize('bind', ['0', '0:x', '0:', '0:9', '1-0:1', '0:1:0', 'on'])
def test_wrong_cores(bind):
    with pytest.raises(UsageError, match='--bind_cores'):
        assign_cores(bind, 2, range(2))
