"""Commands started with another Python than that of scripts/setup.sh: one line, status 2."""

import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT

COMMANDS = ('train_loop.py', 'scripts/check_dataset.py', 'scripts/compare_dumps.py')


@pytest.mark.parametrize('command', COMMANDS)
def test_a_python_without_the_packages_is_told_in_a_line(command):
    bare = [sys.executable, '-S', os.path.join(ROOT, command), '--help']  # no site-packages
    done = subprocess.run(bare, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and 'scripts/setup.sh' in line and 'numpy' in line
    assert line.startswith(os.path.basename(command))


def test_what_needs_no_package_runs_without_them():
    bare = [sys.executable, '-S', os.path.join(ROOT, 'scripts/make_rank_table.py'), '--help']
    assert subprocess.run(bare, capture_output=True).returncode == 0
