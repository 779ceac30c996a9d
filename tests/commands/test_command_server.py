"""The server that tests fork their runs from: nothing stays, however the tests end; time limits."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import ROOT, command_server, runs
from tests.helpers.launches import is_running

# A run that writes its own id and its server's, and would take ten minutes.
RUN = """
import os, time
with open('ids.partial', 'w') as f:
    f.write(f'{os.getpid()} {os.getppid()}')
os.rename('ids.partial', 'ids')
time.sleep(600)
"""
TESTS = """
import os, sys
from tests.helpers import command_server
command_server.run([sys.argv[1]], dict(os.environ), 600, sys.argv[2])
"""


def waited_for(condition):
    """Whether it comes true within the time that loading TensorFlow may take."""
    end = time.monotonic() + 120
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT])
def test_nothing_stays_of_tests_that_a_signal_ends(tmp_path, number):
    (tmp_path / 'run.py').write_text(RUN)
    pids = []
    tests = subprocess.Popen(
        [sys.executable, '-c', TESTS, str(tmp_path / 'run.py'), str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert waited_for((tmp_path / 'ids').exists)
        pids = [int(word) for word in (tmp_path / 'ids').read_text().split()]
        assert all(map(is_running, pids)) and tests.pid not in pids
        tests.send_signal(number)
        tests.wait(60)
        assert waited_for(lambda: not any(map(is_running, pids)))
    finally:
        tests.kill()
        tests.wait()
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)


def test_a_run_that_takes_too_long_says_so(tmp_path):
    slow = tmp_path / 'slow.py'
    slow.write_text('import time\nprint("begun", flush=True)\ntime.sleep(60)\n')
    with pytest.raises(subprocess.TimeoutExpired, match='after 5 seconds') as raised:
        command_server.run([str(slow)], runs.environment(), 5)
    assert raised.value.output == 'begun\n'
