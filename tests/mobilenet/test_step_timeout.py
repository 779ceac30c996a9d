"""A loop that takes too long, in a process of its own: the run is a stand-in without TensorFlow."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from mobilenet import step_timeout
from tests.helpers import ROOT

SCRIPT = """
import ctypes, logging, os, sys, types
from mobilenet import step_timeout
from mobilenet.stop_signal import StopSignal
def session_that_never_returns(n):
    mutex = ctypes.create_string_buffer(64)
    libc = ctypes.CDLL(None)
    libc.pthread_mutex_lock(mutex)
    os.write(1, b'ready\\n')
    libc.pthread_mutex_lock(mutex)
folder, seconds, grace = sys.argv[1:]
step_timeout.STOP_GRACE = float(grace)
config = types.SimpleNamespace(train_dir=folder, longest_loop=5)
run = types.SimpleNamespace(
    config=config, rank=0, batch=12, step=11, stop=StopSignal(), logger=logging.getLogger('x'),
    say=lambda text: print(text, file=sys.stderr, flush=True))
hook = step_timeout.StepTimeout(float(seconds), None)
hook.before_graph(run)
hook.session_ready(run)
hook.around_loop(run, 5, lambda n: None)  # the first has longer
hook.around_loop(run, 5, session_that_never_returns)
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def start_process(seconds, grace):
        started.append(
            subprocess.Popen(
                [sys.executable, '-c', SCRIPT, str(tmp_path), str(seconds), str(grace)],
                env=dict(os.environ, PYTHONPATH=ROOT, MOBILENET_ERROR_FILE=str(tmp_path / 'error')),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
            )
        )
        assert started[-1].stdout.readline() == 'ready\n'
        return started[-1]

    yield start_process
    for process in started:
        process.kill()
        process.communicate()


def assert_told(tmp_path, line, said):
    """The stacks in the log, the same words for the launcher and on stderr."""
    error = json.loads((tmp_path / 'error').read_text())
    assert (error['kind'], error['status'], error['batch'], error['step']) == ('timeout', 1, 12, 11)
    assert line == 'train_loop.py: ' + error['message']
    assert re.match('the loop from batch 12 has not ended ' + said, error['message'])
    assert str(tmp_path / 'train.log') in error['message']
    assert 'in session_that_never_returns' in (tmp_path / 'train.log').read_text()


def test_it_is_ended(start, tmp_path):
    process = start(1.0, 60.0)
    err = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    assert_told(tmp_path, err.splitlines()[-1], r'after \d+ s;')


def test_time_in_which_the_process_is_stopped_does_not_count(start):
    """Ctrl-Z and fg."""
    process = start(2.5, 60.0)
    process.send_signal(signal.SIGSTOP)
    time.sleep(3.5)
    went_on = time.monotonic()
    process.send_signal(signal.SIGCONT)
    err = process.communicate(timeout=300)[1]
    assert process.returncode == 1 and time.monotonic() - went_on > 2
    assert re.search(r' has not ended after \d+ s; ', err.splitlines()[-1])


def test_one_signal_ends_it_after_a_grace_that_is_told(start, tmp_path):
    process = start(1000.0, 1.0)
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    lines = err.splitlines()
    assert 'the loop is ended by force if it takes another 1 s' in lines
    assert any(line.startswith('SIGTERM: stopping after this loop') for line in lines)
    assert_told(tmp_path, lines[-1], '1 s after the signal;')


def test_stacks_on_demand_end_nothing(start, tmp_path):
    process = start(1000.0, 1.0)
    process.send_signal(signal.SIGUSR1)
    end = time.time() + 60
    while 'session_that_never_returns' not in (tmp_path / 'train.log').read_text():
        assert time.time() < end
        time.sleep(0.02)
    assert process.poll() is None


class Told(list):
    """A heartbeat that keeps what it is told: [(state, batch, limit, patience, grace)]."""

    def tell(self, state, batch, step, limit, patience, grace):
        assert step == batch - 1
        self.append((state, batch, limit, patience, grace))


def run_of(tmp_path):
    from types import SimpleNamespace

    config = SimpleNamespace(train_dir=str(tmp_path), longest_loop=10)
    return SimpleNamespace(config=config, rank=3, batch=7, step=6)


@pytest.mark.parametrize(
    'seconds, first, later, patience', [('auto', 1800, 400, 300), (50.0, 1800, 50, 50)]
)
def test_how_long_a_loop_may_take(tmp_path, monkeypatch, seconds, first, later, patience):
    """20 times the slowest step so far, here 2 s, times the steps of the loop; at least 300 s."""
    clock = [100.0]
    monkeypatch.setattr(step_timeout.time, 'monotonic', lambda: clock[0])
    told, run = Told(), run_of(tmp_path)
    hook = step_timeout.StepTimeout(seconds, told)
    hook.before_graph(run)
    hook.session_ready(run)

    def takes(duration):
        def proceed(n):
            clock[0] += duration
            return n

        return proceed

    assert hook.around_loop(run, 10, takes(1)) == 10
    assert hook.limit(10) == (300 if seconds == 'auto' else 50)
    with pytest.raises(KeyError):
        hook.around_loop(run, 1, lambda n: takes(2)(n) and {}['no'])
    run.batch, run.step = 8, 7
    hook.around_loop(run, 10, takes(3))
    hook.after_loop(run, 10, {}, 3)
    assert [t[:3] for t in told] == [
        ('meet', 7, first),
        ('between', 7, 1800),
        ('loop', 7, first),
        ('between', 7, 1800),
        ('loop', 7, 300 if seconds == 'auto' else 50),
        ('between', 7, 1800),
        ('loop', 8, later),
        ('between', 8, 1800),
        ('between', 8, 1800),
    ]
    assert {t[3] for t in told} == {patience}
    assert told[0][4] == 30 and told[-1][4] == 3 * 2 * 10
    assert os.path.exists(str(tmp_path / 'train_rank_3.log'))
