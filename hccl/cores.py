"""Which CPU cores each rank of a server gets."""

import os
import re

from mobilenet.cores import allowed as cores_of_process
from mobilenet.errors import UsageError


def assign_cores(bind_cores, num_ranks, allowed=None):
    """A list with the sorted cores of each local rank, or None for each where nothing is bound.

    bind_cores: 'auto' gives each rank an equal share of its own of the cores this process may
    use and its container's quota allows (left-over ones stay free), or, with more ranks than cores,
    one core in turn. 'none' binds nothing. Else a set of cores for each rank in order of rank, ':'
    between the ranks:
    '0-11:12-23' or '0,2:1,3'. Raises UsageError.
    """
    if bind_cores == 'none':
        return [None] * num_ranks
    if bind_cores != 'auto':
        usable = os.sched_getaffinity(0) if allowed is None else allowed
        return _explicit(bind_cores, num_ranks, sorted(usable))
    allowed = sorted(cores_of_process() if allowed is None else allowed)
    share = len(allowed) // num_ranks
    if share == 0:
        return [[allowed[rank % len(allowed)]] for rank in range(num_ranks)]
    return [allowed[rank * share : (rank + 1) * share] for rank in range(num_ranks)]


def _explicit(bind_cores, num_ranks, allowed):
    how = 'write auto, none, or the cores of each rank, as 0-11:12-23'
    sets = bind_cores.split(':')
    if len(sets) != num_ranks:
        raise UsageError(
            f'--bind_cores {bind_cores} is for {len(sets)} ranks, this server has {num_ranks}; '
            f'{how}'
        )
    result = []
    for text in sets:
        cores = set()
        for part in text.split(','):
            match = re.match(r'([0-9]{1,5})(?:-([0-9]{1,5}))?\Z', part)
            if not match:
                raise UsageError(f'--bind_cores {bind_cores}: "{part}" is no core; {how}')
            first = int(match.group(1))
            cores.update(range(first, int(match.group(2) or first) + 1))
        missing = sorted(cores - set(allowed))
        if missing or not cores:
            raise UsageError(
                '--bind_cores {}: "{}" has no core, or one ({}) that this process may '
                'not use; it may use {}'.format(
                    bind_cores, text, ', '.join(map(str, missing)), ', '.join(map(str, allowed))
                )
            )
        result.append(sorted(cores))
    return result
