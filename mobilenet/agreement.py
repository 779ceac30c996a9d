"""Ranks that were started alike: each tells the others what it was started with, and what differs
is named before anything is trained.
"""

import hashlib
import json
import time

from mobilenet import run_record
from mobilenet.errors import UsageError
from mobilenet.hooks import Hook

# Flags that may differ from rank to rank: places on a server, and its cores.
PER_RANK = frozenset(
    'base_port bind_cores data_threads dataset_dir dump_dir rank_table server_id step_script '
    'train_dir'.split()
)
SHOWN = 90  # characters of a value that travel


class Agreement(Hook):
    """All ranks compare code, flags and data set, then where they stand.

    fingerprint(dataset): a dict that tells one data set from another.
    """

    def __init__(self, fingerprint):
        self._fingerprint = fingerprint

    def session_open(self, run):
        if run.world_size > 1:
            compare(run.gather, items(run.config.flags, self._fingerprint(run.dataset)))

    def session_ready(self, run):
        if run.world_size > 1:
            compare(run.gather, [('the step', run.step), ('the batch', run.batch)])


def items(flags, fingerprint):
    """[(name, value)] of what all ranks must have alike. The code is first: other code may list
    other items.
    """
    found = [('the version of the program', run_record.code_version())]
    found += [(f'--{n}', flags[n]) for n in sorted(flags) if n not in PER_RANK]
    return found + [(f'the data set ({n})', fingerprint[n]) for n in sorted(fingerprint)]


def compare(gather, named_values):
    """Raises UsageError, on all ranks, that names the first item which is not alike.

    gather(bytes): those of every rank, in order of rank. named_values: [(name, value of JSON)].
    """
    whole = hashlib.sha256(json.dumps(named_values, sort_keys=True).encode()).digest()
    if len(set(gather(whole))) == 1:
        return
    for name, value in named_values:
        told = [t.decode('utf-8', 'replace') for t in gather(_told(value))]
        others = [rank for rank, t in enumerate(told) if t != told[0]]
        if others:
            time.sleep(0.5)  # the others have yet to receive the last of this from here
            raise UsageError(
                f'the ranks disagree about {name}: rank 0 has {told[0]}, rank {others[0]} has '
                f'{told[others[0]]}: start all ranks alike'
            )
    raise UsageError('the ranks disagree: start all ranks alike')


def _told(value):
    """A value in at most 120 bytes: itself, or its beginning and its digest."""
    text = json.dumps(value, sort_keys=True).strip('"')
    if len(text) <= SHOWN:
        return text.encode()
    return f'{text[:SHOWN]}... ({hashlib.sha256(text.encode()).hexdigest()[:16]})'.encode()
