"""kill -9 of ranks, by scripts/kill_ranks.py: twice here; a person runs it for longer."""

import re
import subprocess

from tests.helpers import runs


def test_ranks_killed_at_random_moments_leave_nothing_but_a_run_that_goes_on():
    done = subprocess.run(
        runs.command('scripts/kill_ranks.py', '--times=2', '--seed=2'),
        env=runs.environment(**runs.PLAIN_KERNELS),
        capture_output=True,
        text=True,
        timeout=500,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(':')[0] for line in lines[:2]] == [f'kill {n} of 2' for n in (1, 2)]
    summary = re.match(
        r'2 kills over 2 ranks: 0 failures; (\d+) while starting, (\d+) while training; '
        r'all gone after (\d+\.\d) s at most; finished at step (\d+)$',
        lines[2],
    )
    assert (
        summary and int(summary.group(2)) >= 1 and float(summary.group(3)) <= 10 and len(lines) == 3
    )
