"""Signals to a process whose main thread waits in C, as it does in a session, or at a prompt."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers.runs import ROOT

PRELUDE = """
moment = {}
import ctypes, os, signal, sys, time
from mobilenet import repeats
from mobilenet.stop_signal import StopSignal
if moment is not None:
    repeats.MOMENT = repeats.MOMENT_OF_KEYS = moment
stop = StopSignal()
def say(text):
    os.write(1, (text + '\\n').encode())
def in_c():
    '''Waits for ever, as in a session: no handler of Python runs.'''
    mutex = ctypes.create_string_buffer(64)
    libc = ctypes.CDLL(None)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
"""


class Process:
    def __init__(self, script, moment=0.05, **options):
        self.process = subprocess.Popen(
            [sys.executable, '-c', PRELUDE.format(moment) + script],
            env=dict(os.environ, PYTHONPATH=ROOT),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            **options,
        )
        assert self.process.stdout.readline() == 'ready\n'

    def send(self, number):
        time.sleep(0.1)
        self.process.send_signal(number)

    def end(self):
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out, err


@pytest.fixture
def start():
    started = []

    def start_process(script, **options):
        started.append(Process(script, **options))
        return started[-1]

    yield start_process
    for process in started:
        process.process.kill()
        process.process.communicate()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_is_told_at_once_and_the_second_ends_while_the_session_runs(start, number):
    process = start("say('ready'); in_c()")
    process.send(number)
    line = process.process.stderr.readline()
    assert line == f'{number.name}: stopping after this loop; a second one ends at once\n'
    assert process.process.poll() is None
    process.send(number)
    status, _, err = process.end()
    assert (status, err) == (128 + number, 'ended at once, at the second signal\n')


def test_a_signal_is_counted_once_whoever_deals_with_it(start):
    """By the handler in Python code, and by the thread, which looks a moment later."""
    process = start("""
say('ready')
while not stop.wished: time.sleep(0.01)
say('wished')
time.sleep(0.5)
say(f'{time.monotonic() - stop.wished_at < 300} {stop.agreed}')
stop.agree(True)
say(str(stop.agreed))
""")
    process.send(signal.SIGTERM)
    status, out, err = process.end()
    assert (status, out) == (0, 'wished\nTrue False\nTrue\n') and err.count('\n') == 1


def test_two_in_one_moment_end_it(start):
    process = start("say('ready'); in_c()")
    process.send(signal.SIGINT)
    process.process.send_signal(signal.SIGTERM)
    assert process.end()[0] in (128 + signal.SIGINT, 128 + signal.SIGTERM)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_one_that_comes_again_in_the_same_moment_repeats_the_first(start, number):
    """As `timeout` sends it, with a script in between that passes it on."""
    process = start("say('ready'); in_c()", moment=None)
    process.send(number)
    process.process.send_signal(number)
    process.process.stderr.readline()
    process.process.send_signal(number)
    time.sleep(1.2)
    assert process.process.poll() is None
    process.send(number)
    assert process.end()[0] == 128 + number


def test_the_hook_breaks_into_a_prompt_but_not_into_a_session(start):
    process = start(
        """
from mobilenet import stop_signal
stop_signal._HEAD_START = 1.0  # the prompt's is the main thread's, on a busy machine too
reading, dealt = True, []
def hook(number):
    global reading
    if reading:
        reading = False
        raise EOFError('prompt')
    dealt.append(number)
    say('dealt')
    return len(dealt) == 1
stop.hook = hook
try:
    say('ready')
    sys.stdin.readline()
except EOFError as error:
    say(str(error))
time.sleep(0.3)
say(f'{dealt} {stop.wished}')
in_c()
""",
        stdin=subprocess.PIPE,
    )
    process.send(signal.SIGINT)
    assert process.process.stdout.readline() == 'prompt\n'
    assert process.process.stdout.readline() == '[] False\n'
    process.send(signal.SIGINT)
    assert process.process.stdout.readline() == 'dealt\n'  # by the hook: nothing on stderr
    process.send(signal.SIGINT)
    assert process.process.stderr.readline().startswith('SIGINT: stopping after this loop')
    process.send(signal.SIGINT)
    assert process.end()[0] == 130


def test_under_nohup_a_hangup_stays_ignored(start):
    process = start(
        "say('ready'); time.sleep(0.5); say(str(stop.wished))",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    process.send(signal.SIGHUP)
    assert process.end()[:2] == (0, 'False\n')
