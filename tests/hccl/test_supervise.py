"""Starting again after a failure, what is kept of it, and what is cleaned up."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import ROOT
from tests.helpers.launches import DEAF, PATIENCE, SOON

# Fails in its first starts, each time once both ranks have begun; then ends well.
FAILING = """
def starts(rank):
    return os.path.getsize(f'starts_{rank}') if os.path.exists(f'starts_{rank}') else 0
with open(f'starts_{RANK}', 'a') as f:
    f.write('.')
number = starts(RANK)
print('start', number, flush=True)
beat('loop', number)
while starts(1 - RANK) < number:
    time.sleep(0.01)
if RANK == 1 and number <= FAILURES:
    fail(f'no {number}', step=100 + number, KIND)
while starts(1) <= FAILURES:
    time.sleep(0.02)
"""


def failing(times, kind="kind='error'"):
    return FAILING.replace('FAILURES', str(times)).replace('KIND', kind)


def test_all_ranks_start_again_and_every_failure_is_kept(start):
    launch = start(failing(2), max_restarts=3, constants=SOON)
    assert launch.finish()[0] == 0
    assert launch.read('starts_0') == launch.read('starts_1') == '...'
    lines = launch.stderr().splitlines()
    assert [line.split('; ')[-1] for line in lines] == [
        f'all ranks start again from the last checkpoint (restart {n} of 3)' for n in (1, 2)
    ]
    assert lines[0].startswith('rank 1 failed with exit status 1: no 1; ')
    kept = launch.failures()
    assert [(f['rank'], f['status'], f['error'], f['step']) for f in kept] == [
        (1, 1, 'no 1', 101),
        (1, 1, 'no 2', 102),
    ]
    assert kept[0]['time'] <= kept[1]['time'] <= time.time()
    assert launch.read('logs/rank_1.out') == 'start 1\nstart 2\nstart 3\n'


def test_no_more_starts_than_allowed(start):
    launch = start(failing(9), max_restarts=1, constants=SOON)
    status, line = launch.finish()
    assert (status, launch.read('starts_0')) == (1, '..')
    assert line.startswith('rank 1 failed with exit status 1: no 2') and len(launch.failures()) == 2


@pytest.mark.parametrize(
    'kind, status', [("kind='nan'", 1), ("kind='usage', status=2", 2), ("kind='lock', status=2", 2)]
)
def test_what_would_come_again_is_not_tried_again(start, kind, status):
    launch = start(failing(1, kind), max_restarts=3)
    assert launch.finish()[0] == status and launch.read('starts_0') == '.'
    if 'lock' in kind:  # the folder is another run's, and so is its failures.jsonl
        assert not os.path.exists(os.path.join(launch.folder, 'logs/failures.jsonl'))
    else:
        assert len(launch.failures()) == 1


def test_a_killed_rank_starts_again(start):
    launch = start(
        """
if os.path.exists('killed'):
    sys.exit(0)
"""
        + DEAF,
        max_restarts=1,
        constants=SOON,
    )
    pids = launch.wait_ready(0, 1)
    open(os.path.join(launch.folder, 'killed'), 'w').close()
    os.kill(pids[1], signal.SIGKILL)
    assert launch.finish()[0] == 0 and launch.left() == []
    assert (launch.failures()[0]['rank'], launch.failures()[0]['status']) == (1, -signal.SIGKILL)


@pytest.mark.parametrize(
    'script, cause',
    [
        # the one with the NaN looks at it for longer than the one that follows
        ("fail(f'{RANK}', kind='nan' if RANK else 'peer')", 1),
        # one is killed; the other one's collective has written down its error first
        (
            """
if RANK == 1:
    os.kill(os.getpid(), signal.SIGKILL)
try:
    fail('0')
except SystemExit:
    time.sleep(300)
""",
            1,
        ),
        # both say what they had; the earlier one counts, though the other one ended before
        ('fail(str(RANK), time=begun - 100 * RANK)', 1),
        ('fail(str(RANK))', 0),
    ],
    ids=['nan', 'killed', 'earlier', 'first'],
)
def test_the_cause_is_named(start, script, cause):
    """Rank 1 does its part once rank 0 has written down its error."""
    both_ready = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
begun = time.time()
note('ready')
while not (os.path.exists('ready_0') and os.path.exists('ready_1')):
    time.sleep(0.01)
error = os.environ['MOBILENET_ERROR_FILE'].replace('rank_1.', 'rank_0.')
while RANK == 1 and not os.path.exists(error):
    time.sleep(0.01)
"""
    launch = start(both_ready + script, constants=SOON if 'SIGKILL' in script else {})
    status, line = launch.finish()
    assert status == 1 and line.startswith(f'rank {cause} failed')


def test_a_later_run_adds_to_the_output_of_ranks_and_does_not_read_the_old_one(start):
    first = start("print('ValueError: old', flush=True)\nsys.exit(RANK)")
    assert 'ValueError: old' in first.finish()[1]
    second = start('sys.exit(RANK)')
    status, line = second.finish()
    assert status == 1 and 'old' not in line
    assert second.read('logs/rank_1.out') == 'ValueError: old\n'


def scratch_folders(folder):
    return sorted(name for name in os.listdir(str(folder)) if 'mobilenet_launch_' in name)


def test_the_folder_of_a_killed_launcher_is_removed_by_the_next(start, tmp_path):
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    env = {'TMPDIR': str(temporary)}
    killed, living = start(DEAF, folder='killed', env=env), start(DEAF, folder='living', env=env)
    for launch in (killed, living):
        launch.wait_ready(0, 1)
    killed.process.kill()
    killed.process.wait()
    assert killed.left() == []
    before = scratch_folders(temporary)
    assert len(before) == 2
    (temporary / 'mobilenet_launch_half').mkdir()  # of one that was killed as it removed it
    assert start('', folder='next', env=env).finish()[0] == 0
    after = scratch_folders(temporary)
    assert len(after) == 1 and after[0] in before
    for number in (signal.SIGTERM, signal.SIGINT):
        living.process.send_signal(number)
        time.sleep(0.3)
    living.finish()
    assert scratch_folders(temporary) == []


def test_a_launcher_whose_terminal_is_gone_goes_on(tmp_path):
    """Its lines go to a pipe that nobody reads."""
    (tmp_path / 'rank.py').write_text('import os; open("done_" + os.environ["RANK_ID"], "w")')
    read, write = os.pipe()
    os.close(read)
    script = (
        'import sys; from mobilenet import terminal; from hccl import launcher, attempt; '
        'terminal.protect(); attempt.say("a line"); '
        'sys.exit(launcher.launch("hccl_2p.json", ["rank.py"], log_dir="."))'
    )
    status = subprocess.call(
        [sys.executable, '-c', script],
        cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=ROOT),
        stdout=write,
        stderr=write,
        timeout=PATIENCE,
    )
    os.close(write)
    assert status == 0 and (tmp_path / 'done_0').exists() and (tmp_path / 'done_1').exists()
