"""Ranks that hang or are stopped, with real processes: named, looked at, and ended."""

import os
import re
import signal
import time

from tests.helpers.launches import SOON

SHORT = dict(SOON, **{'liveness.FROZEN': 2.5})
# Ranks that loop together until one is stopped: each waits for the other's note of the batch.
LOOPING = """
LIMIT = 2.5
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
beat('meet', 0)
note('ready', os.getpid())
def wait_for_others(batch):
    while not all(os.path.exists(f'at_{batch}_{r}') for r in range(2)):
        time.sleep(0.01)
for batch in range(10**6):
    beat('loop', batch, limit=LIMIT, patience=LIMIT, grace=LIMIT)
    note(f'at_{batch}')
    wait_for_others(batch)
    beat('between', batch + 1, patience=LIMIT, grace=LIMIT)
"""


def both(start, script, **options):
    """Two launches at once, in folders of their own: most of their time is waiting."""
    launches = [start(script, folder=folder, **options) for folder in 'ab']
    return launches, [launch.wait_ready(0, 1) for launch in launches]


def test_a_stopped_rank_is_named_and_ends_the_run(start):
    """Either of them. Where the ranks are stands in their logs."""
    launches, pids = both(start, LOOPING, constants=SHORT)
    for stopped, launch in enumerate(launches):
        launch.wait_files('at_3_0', 'at_3_1')
        os.kill(pids[stopped][stopped], signal.SIGSTOP)
    for stopped, launch in enumerate(launches):
        status, line = launch.finish()
        assert status == 1 and launch.left() == []
        assert line.startswith(f'rank {stopped} failed with a timeout: ')
        assert f': rank {stopped} stopped by a signal; ' in line and 'batch' in line
        for rank in range(2):
            assert 'File "rank.py"' in launch.read(f'stacks_{rank}')
        assert 'wait_for_others' in launch.read(f'stacks_{1 - stopped}')
        (failure,) = launch.failures()
        assert sorted(failure) == ['error', 'rank', 'status', 'step', 'time']
        assert (failure['rank'], failure['status']) == (stopped, 1)
        assert failure['step'] >= 30 and failure['error'] in line


def test_a_loop_without_end_is_ended_though_all_ranks_live(start):
    launch = start("""
note('ready', os.getpid())
while not (os.path.exists('ready_0') and os.path.exists('ready_1')):
    time.sleep(0.01)
beat('loop', 7, limit=1.0)
time.sleep(300)
""")
    launch.wait_ready(0, 1)
    status, line = launch.finish()
    assert status == 1 and launch.left() == []
    assert line.startswith('the run failed with a timeout: the loop from batch 7 has not ended')
    assert 'all ranks are in it' in line
    assert launch.failures()[0]['rank'] is None and launch.failures()[0]['step'] == 70


def test_ranks_wait_longer_while_another_saves(start):
    """Rank 0 is outside the loop for longer than a loop may take, and lives."""
    launch = start(
        """
def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.02)
if RANK == 0:
    beat('between', 5)
    note('saving')
    wait_for('waiting_1')
    time.sleep(1.5)
    note('saved')
    wait_for('through_1')
else:
    wait_for('saving_0')
    beat('loop', 5, limit=0.5)
    note('waiting')
    wait_for('saved_0')
    beat('between', 6)
    note('through')
""",
        constants={'liveness.FROZEN': 60.0},
    )
    assert launch.finish() == (0, '')


def test_one_signal_ends_a_hung_run_after_a_grace_that_is_told(start):
    launch = start(
        LOOPING.replace('LIMIT = 2.5', 'LIMIT = 1e9').replace('grace=LIMIT', 'grace=1'),
        constants=SOON,
    )
    pids = launch.wait_ready(0, 1)
    launch.wait_files('at_1_0', 'at_1_1')
    os.kill(pids[1], signal.SIGSTOP)
    asked = time.monotonic()
    launch.process.send_signal(signal.SIGTERM)
    status, line = launch.finish()
    assert status == 1 and time.monotonic() - asked >= 1 and launch.left() == []
    assert 'SIGTERM: stopping after this loop; ended if that takes 1 s' in launch.stderr()
    assert 'asked to stop' in line


def test_whom_the_ranks_wait_for_at_the_start_is_said(start):
    """Each rank goes on once the launcher has said what it waits for."""
    launch = start(
        """
def wait_for(said):
    while said not in open('stderr').read():
        time.sleep(0.02)
if RANK == 1:
    wait_for('rank 0 waiting ')
beat('meet', 0)
wait_for('all ranks have ')
""",
        constants={'attempt.TELL_INTERVAL': 0.2, 'liveness.LONG': 0.5, 'liveness.FROZEN': 60.0},
    )
    begun = time.monotonic()
    assert launch.finish()[0] == 0
    said = r'(rank 0 waiting for \d+ s for rank 1\n)+'
    said += r'(all ranks have been waiting for each other for (\d+) s\n)+'
    found = re.fullmatch(said, launch.stderr())
    assert found and int(found.group(3)) <= time.monotonic() - begun + 1


def test_ranks_that_never_meet_are_ended(start):
    launch = start(
        """
note('ready', os.getpid())
if RANK == 0:
    beat('meet', 0)
time.sleep(300)
""",
        step_timeout=4.0,
        constants={'attempt.BEGIN_LIMIT': 4.0},
    )
    launch.wait_ready(0, 1)
    status, line = launch.finish()
    assert status == 1 and launch.left() == []
    found = re.match(r'rank 1 failed with a timeout: rank 1 not ready after (\d+) s', line)
    assert found and int(found.group(1)) >= 4


def test_a_rank_stopped_while_it_starts_is_named(start):
    """Before its first sign of life, or while it loads TensorFlow and its data set."""
    launches, pids = both(
        start,
        """
if RANK == 0 or os.getcwd().endswith('a'):
    beat('start', 0)
note('ready', os.getpid())
time.sleep(300)
""",
        step_timeout=2.0,
        constants=SOON,
    )
    time.sleep(2.5)  # a rank that runs may be silent for longer
    stopped = time.monotonic()
    for launch, (_, pid) in zip(launches, pids):
        assert launch.process.poll() is None
        os.kill(pid, signal.SIGSTOP)
    for launch in launches:
        status, line = launch.finish()
        assert status == 1 and time.monotonic() - stopped > 2 and launch.left() == []
        assert line.startswith(
            'rank 1 failed with a timeout: rank 1 not ready: rank 1 stopped by a '
        )
        assert 'File "rank.py"' in launch.read('stacks_0')


def test_a_run_that_is_stopped_as_a_whole_goes_on(start):
    """Ctrl-Z and fg, a paused container: for longer than any of them may be silent. The launcher
    is the first to be stopped and to go on, or the last.
    """
    launches, pids = both(start, LOOPING, constants=SHORT)
    every = [[launches[0].process.pid, *pids[0]], [*pids[1], launches[1].process.pid]]
    for launch in launches:
        launch.wait_files('at_3_0', 'at_3_1')
    for pid in sum(every, []):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(4)
    reached = [
        len([name for name in os.listdir(launch.folder) if name.startswith('at_')]) // 2
        for launch in launches
    ]
    for pid in sum(every, []):
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.2)  # the first launcher looks at ranks that are silent yet
    time.sleep(3)
    for launch, batch, (_, pid) in zip(launches, reached, pids):
        launch.wait_files(*(f'at_{batch + 100}_{rank}' for rank in range(2)))
        os.kill(pid, signal.SIGSTOP)  # and still nothing waits for ever
    for launch in launches:
        status, line = launch.finish()
        assert status == 1 and launch.left() == []
        assert line.startswith('rank 1 failed with a timeout: ') and 'stopped by a signal' in line
