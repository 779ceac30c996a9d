"""How a run over ranks ends: failures, kills and stops, with real processes and signals."""

import os
import signal
import time

import pytest

from mobilenet import repeats
from tests.helpers.launches import DEAF, SOON, STOPPABLE, guards_of

FAILING = (
    """
if RANK == %d:
    while not all(os.path.exists('ready_%%d' %% r) for r in range(4) if r != RANK):
        time.sleep(0.02)
    %s
"""
    + DEAF
)


@pytest.mark.parametrize('failing', [0, 1, 3])
def test_a_failing_rank_ends_the_others(start, failing):
    """The others are deaf to SIGTERM and have helpers: all are gone."""
    launch = start(
        FAILING
        % (
            failing,
            """
    note('ready', os.getpid())
    fail('no space left on /data')""",
        ),
        table='hccl_4p.json',
        constants=SOON,
    )
    launch.wait_ready(0, 1, 2, 3)
    status, line = launch.finish()
    assert status == 1 and launch.left() == [] and len(launch.started) == 7
    assert line.startswith(f'rank {failing} failed with exit status 1: no space left on /data')
    assert (failing == 0) == (f'rank_{failing}.out' not in line)


def test_the_error_is_found_in_the_output(start):
    launch = start("""
if RANK == 1:
    print('one', flush=True)
    raise ValueError('this is it')
time.sleep(300)""")
    status, line = launch.finish()
    assert status == 1
    assert line == (
        'rank 1 failed with exit status 1: ValueError: this is it; the other ranks '
        'were ended; its output is in logs/rank_1.out'
    )


def test_a_fatal_check_inside_tensorflow_is_the_error(start):
    launch = start("""
if RANK == 1:
    print("2020-01-02 03:04:05.678: F tf_adapter/x.cc:12] unknown precision_mode", flush=True)
    os.abort()
time.sleep(300)""")
    status, line = launch.finish()
    assert status == 1
    assert 'rank 1 failed with signal SIGABRT: ' in line and 'unknown precision_mode' in line


def test_an_ordinary_line_does_not_pass_for_the_error_of_a_killed_rank(start):
    launch = start('print("step 7", flush=True)\n' + DEAF, constants=SOON)
    os.kill(launch.wait_ready(0, 1)[1], signal.SIGKILL)
    _, line = launch.finish()
    assert 'step 7' not in line and 'signal SIGKILL: killed from outside' in line


def test_wrong_use_found_by_a_rank_is_exit_status_2(start):
    launch = start('if RANK == 1:\n    print("no such folder: /x"); sys.exit(2)\ntime.sleep(300)')
    status, line = launch.finish()
    assert status == 2
    assert line.startswith('rank 1 failed with exit status 2: no such folder: /x')


@pytest.mark.parametrize('killed', [0, 1])
def test_kill_9_of_a_rank(start, killed):
    launch = start(DEAF, constants=SOON)
    pids = launch.wait_ready(0, 1)
    os.kill(pids[killed], signal.SIGKILL)
    status, line = launch.finish()
    assert status == 1 and launch.left() == []
    assert line.startswith(f'rank {killed} failed with signal SIGKILL')


def test_after_a_failure_a_rank_that_can_stop_is_not_killed(start):
    launch = start(
        """
if RANK == 1:
    while not os.path.exists('ready_0'):
        time.sleep(0.02)
    note('ready', os.getpid())
    os.abort()
"""
        + STOPPABLE,
        constants={'attempt.END_GRACE': 1000.0},  # it ends by itself, and is not waited for then
    )
    launch.wait_ready(0, 1)
    status, line = launch.finish()
    assert status == 1
    assert line.startswith('rank 1 failed with signal SIGABRT: Fatal Python error: Aborted')
    assert launch.read('saved_0') == '[15]'


def test_kill_9_of_the_launcher_leaves_nothing(start):
    launch = start(DEAF, table='hccl_4p.json')
    launch.wait_ready(0, 1, 2, 3)
    assert len(launch.running()) == 8  # four ranks, four helpers
    launch.started += guards_of(launch.process.pid)
    assert len(launch.started) == 9
    launch.process.kill()
    assert launch.left() == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_is_passed_on_once_and_waited_for(start, number):
    launch = start(STOPPABLE, table='hccl_4p.json')
    launch.wait_ready(0, 1, 2, 3)
    launch.process.send_signal(number)
    if number != signal.SIGINT:
        time.sleep(0.05)
        launch.process.send_signal(number)  # as `timeout` does: the same wish
    status, line = launch.finish()
    assert status == 0 and len(launch.stderr().splitlines()) == 1
    assert line == (
        f'{number.name}: stopping after this loop; ended if that takes 60 s, '
        'at once at a second signal'
    )
    passed_on = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
    for rank in range(4):
        assert launch.read(f'saved_{rank}') == f'[{int(passed_on)}]'
    assert launch.left() == []


def test_ctrl_c_at_a_terminal_reaches_each_rank_once(start, tmp_path):
    """The terminal signals the whole foreground group; the ranks are not in it."""
    launch = start(STOPPABLE, prefix=['setsid'])
    pids = launch.wait_ready(0, 1)
    group = os.getpgid(launch.process.pid)
    assert group == launch.process.pid and all(os.getpgid(pid) == pid for pid in pids)
    os.killpg(group, signal.SIGINT)
    assert launch.finish()[0] == 0
    assert launch.read('saved_0') == launch.read('saved_1') == '[2]'


def test_a_second_stop_kills(start):
    launch = start(DEAF)
    launch.wait_ready(0, 1)
    launch.process.send_signal(signal.SIGINT)
    launch.wait_until(lambda: 'SIGINT: stopping' in launch.stderr())
    assert len(launch.running()) == 4  # a stop is waited for, however long it takes
    time.sleep(repeats.MOMENT_OF_KEYS)
    launch.process.send_signal(signal.SIGINT)
    status, line = launch.finish()
    assert status == 1 and launch.left() == []
    assert 'killed at the second SIGINT' in line


def test_a_rank_that_ends_well_has_its_helpers_ended_too(start):
    launch = start(
        """
helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])
note('helper', helper.pid)
note('ready', os.getpid())
time.sleep(0.5)""",
        table='hccl_1p.json',
    )
    launch.wait_ready(0)
    assert launch.finish()[0] == 0
    assert len(launch.started) == 2 and launch.left() == []
