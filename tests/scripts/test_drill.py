"""scripts/drill.py, short: ten faults on the real command; a person runs it for longer."""

import re
import subprocess

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
