"""scripts/test.sh in a tree of its own: what failed beside others is tried once more, alone."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers import runs

LATE = """
import os
def test_late():
    assert 'PYTEST_XDIST_WORKER' not in os.environ, 'beside others'
def test_good():
    pass
"""
BROKEN = 'def test_broken():\n    assert False\n'
MANY = (
    'import pytest\n@pytest.mark.parametrize("n", range(6))\ndef test_many(n):\n    assert n > 9\n'
)


@pytest.fixture
def test_sh(tmp_path):
    """Runs it on files; gives (exit status, its lines, how often pytest ran)."""
    for name in ('scripts', '.venv/bin', 'tests'):
        (tmp_path / name).mkdir(parents=True)
    for name in ('scripts/test.sh', 'pytest.ini'):
        shutil.copy(os.path.join(runs.ROOT, name), str(tmp_path / name))
    (tmp_path / 'scripts' / 'setup.sh').write_text('')
    python = tmp_path / '.venv' / 'bin' / 'python'
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)

    def run(*files, arguments=()):
        for number, text in enumerate(files):
            (tmp_path / 'tests' / f'test_{number}.py').write_text(text)
        before = sorted(os.listdir(str(tmp_path)))
        done = subprocess.run(
            ['bash', str(tmp_path / 'scripts' / 'test.sh'), *arguments],
            env=runs.environment(PYTHONDONTWRITEBYTECODE='1'),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert sorted(os.listdir(str(tmp_path))) == before
        lines = done.stdout.splitlines()
        told = [line for line in lines if line.startswith('tests: ') and not line.endswith(' s')]
        return done.returncode, told, lines

    return run


AGAIN = 'tests: those that failed once more, alone:'
PASSED = 'tests: failed beside others, passed alone: tests/test_0.py::test_late'


def test_what_passes_alone_has_passed_and_is_named(test_sh):
    status, told, lines = test_sh(LATE)
    assert (status, told) == (0, [AGAIN, PASSED]) and lines[-1].startswith('tests: 0 min ')


def test_what_fails_alone_has_failed(test_sh):
    status, told, _ = test_sh(LATE, BROKEN)
    assert (status, told) == (1, [AGAIN, PASSED])


@pytest.mark.parametrize(
    'text,arguments,status',
    [(MANY, (), 1), ('import nothing_there\n', (), 1), (LATE, ('--no_such_flag',), 4)],
    ids=['many', 'no import', 'usage'],
)
def test_what_is_no_accident_is_not_tried_again(test_sh, text, arguments, status):
    assert test_sh(text, arguments=arguments)[:2] == (status, [])
