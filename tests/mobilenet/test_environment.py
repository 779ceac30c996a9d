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


@pytest.mark.parametrize('locale,status', [('C', 2), ('C.UTF-8', 0)])
def test_an_environment_at_a_path_that_the_locale_lacks(tmp_path, locale, status):
    """protobuf's library does not load there, with words that help nobody."""
    (tmp_path / '你好').mkdir()
    os.symlink(sys.prefix, str(tmp_path / '你好' / 'venv'))
    python = tmp_path / '你好' / 'venv' / 'bin' / 'python'
    done = subprocess.run(
        [str(python), os.path.join(ROOT, 'train_loop.py'), '--help'],
        env={'LC_ALL': locale, 'PATH': os.environ['PATH']},
        capture_output=True,
    )
    assert done.returncode == status, done.stderr
    assert (b'set LC_ALL=C.UTF-8' in done.stderr) == bool(status)
    assert len(done.stderr.splitlines()) == bool(status)
