"""The pool of processes: all results, errors, and its end."""

import os
import time

import pytest

from data import workers


def squares(task):
    if task == 'sleep':
        yield os.getpid()
        time.sleep(600)
    if task == 'error':
        raise ValueError('planted')
    yield task * task


def test_pool_gives_all_results_and_passes_errors_on():
    events = list(workers.run(squares, range(20), 3))
    assert sorted(event.value for event in events if isinstance(event, workers.Report)) == [
        i * i for i in range(20)
    ]
    assert sorted(event.task for event in events if isinstance(event, workers.Finished)) == list(
        range(20)
    )
    with pytest.raises(ValueError, match='planted'):
        list(workers.run(squares, [1, 'error', 2], 2))


def test_pool_ends_its_processes_with_the_loop():
    for event in workers.run(squares, ['sleep'], 1):
        pid = event.value
        os.kill(pid, 0)
        break
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
