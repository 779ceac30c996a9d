"""kill -9 of a rank, by scripts/kill_ranks.py: once here; a person runs it for longer."""

import re
import subprocess

from tests.helpers import runs


def test_a_rank_killed_in_training_leaves_nothing_but_a_run_that_goes_on():
    done = subprocess.run(
        runs.command('scripts/kill_ranks.py', '--times=1'),
        env=runs.environment(),
        capture_output=True,
        text=True,
        timeout=500,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines[0].startswith('kill 1 of 1: rank ')
    summary = re.match(
        r'1 kills over 2 ranks: 0 failures; 0 while starting, 1 while training; '
        r'all gone after (\d+\.\d) s at most; finished at step (\d+)$',
        lines[1],
    )
    assert summary and float(summary.group(1)) <= 10 and len(lines) == 2
