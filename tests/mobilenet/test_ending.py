"""What is closed before os._exit, in processes of their own."""

import subprocess
import sys
import time

from tests.helpers import ROOT

PROGRAM = """
import time
from mobilenet import command, ending

class Session:
    def __del__(self):
        print('session gone')

def cycle():
    session = Session()
    session.itself = session

def fails():
    print('fails')
    raise RuntimeError('no device')

ending.before_exit(lambda: print('closed'))
ending.before_exit(fails)
cycle()
{}
command.leave(3)
"""


def run(more=''):
    return subprocess.run(
        [sys.executable, '-c', PROGRAM.format(more)], cwd=ROOT, capture_output=True, text=True
    )


def test_all_is_closed_after_the_session_though_one_fails():
    done = run()
    assert (done.returncode, done.stdout) == (3, 'session gone\nfails\nclosed\n'), done.stderr


def test_what_hangs_is_left():
    started = time.monotonic()
    done = run('ending.before_exit(lambda: time.sleep(600)); ending.SECONDS = 1.0')
    assert done.returncode == 3 and time.monotonic() - started < 300
    assert done.stdout == 'session gone\n'
