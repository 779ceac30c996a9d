"""scripts/drill.py, short: ten faults on the real command; a person runs it for longer."""

import os
import re
import signal
import subprocess
import time

import pytest

from tests.helpers import runs


def drill(*arguments):
    return subprocess.run(
        runs.command('scripts/drill.py', *arguments),
        env=runs.environment(),
        capture_output=True,
        text=True,
        timeout=1150,
    )


KINDS = (
    'kill,kill_rank,terminate,second_run,closed_pipe,'
    'lost_hint,flipped,leftovers,other_flags,full_disk'
)


def test_ten_drills_lose_nothing():
    """One of each of these: a minute and a half on two idle cores."""
    done = drill('--drills=10', '--seed=5', f'--kinds={KINDS}')
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sorted(int(line.split()[1]) for line in lines[:10]) == list(range(1, 11))
    assert all(line.endswith(' s  survived') for line in lines[:10])
    assert lines[-1].split() == ['all', '10', '10', '0']


def test_a_drill_sees_what_is_lost(tmp_path):
    """A program whose checkpoints are never found again loses every drill that needs them."""
    (tmp_path / 'sitecustomize.py').write_text(
        'import mobilenet.checkpoints.names as names\nnames.to_resume = lambda folder: ([], None)\n'
    )
    env = runs.environment(PYTHONPATH=f'{tmp_path}:{runs.ROOT}')
    command = runs.command('scripts/drill.py', '--drills=1', '--kinds=leftovers', '--jobs=1')
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1150)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r'^all +1 +0 +1$', done.stdout, re.M)


def test_kinds_are_listed_and_checked():
    listed = drill('--list')
    assert listed.returncode == 0 and len(listed.stdout.splitlines()) >= 20
    wrong = drill('--kinds=flood')
    assert wrong.returncode == 2 and 'flood' in wrong.stderr and 'truncated' in wrong.stderr


def test_a_half_way_training_that_ends_early_is_named(tmp_path, monkeypatch):
    """Each drill that asks for it hears why, not what followed from it."""
    monkeypatch.syspath_prepend(os.path.join(runs.ROOT, 'scripts'))
    from drills import drill as drills
    from drills import training

    monkeypatch.setattr(training, 'FLAGS', training.FLAGS + ['--max_train_steps=12'])
    halves = drills.Halves(str(tmp_path))
    for _ in range(2):
        with pytest.raises(RuntimeError, match='half way ended with status 0 before step 20: done'):
            halves.copy(1, str(tmp_path))


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_drill_waits_for_no_other(tmp_path, number):
    command = runs.command('scripts/drill.py', '--drills=9', '--jobs=1', '--kinds=kill')
    env = runs.environment(TMPDIR=str(tmp_path))
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob('drill_*/drill_1/*')) and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(number)
    sent = time.monotonic()
    stderr = process.communicate(timeout=500)[1]
    assert (process.returncode, stderr) == (1, 'drill.py: stopped; start it again\n')
    assert time.monotonic() - sent < 60 and not list(tmp_path.glob('drill_*'))
