"""Trainings with and without the compiled kernels."""

import shutil
import subprocess
import sys

import pytest

from mobilenet import native
from tests.helpers import ROOT, runs

WITHOUT = """
import runpy, sys
from mobilenet import native
native.library = lambda: LIBRARY
sys.argv[0] = 'train_loop.py'
runpy.run_path('train_loop.py', run_name='__main__')
"""
HINT = 'python -m mobilenet.native'


def train(train_dir, kernels, without=None):
    """without: the path of a file that is no library."""
    flags = [*runs.SMALL, f'--train_dir={train_dir}', '--max_train_steps=6', '--loss_scale=dynamic']
    command = (
        [sys.executable, '-c', f'LIBRARY = {without!r}' + WITHOUT]
        if without
        else [sys.executable, 'train_loop.py']
    )
    return subprocess.run(
        [*command, *flags, f'--kernels={kernels}', '--moving_average_decay=0.99'],
        env=runs.environment(PYTHONPATH=ROOT),
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout


@pytest.mark.skipif(not shutil.which('g++'), reason='scripts/setup.sh compiles with g++')
@pytest.mark.parametrize('kernels', ['plain', 'onednn'])
def test_a_training_without_them_says_so_and_ends_with_the_same_bits(tmp_path, kernels):
    compiled, slow = tmp_path / 'compiled', tmp_path / 'slow'
    assert HINT not in train(compiled, kernels)
    missing, damaged = '/nowhere/kernels.so', str(tmp_path / 'kernels.so')
    with open(damaged, 'w') as file:
        file.write('no library')
    without = missing if kernels == 'plain' else damaged
    assert train(slow, kernels, without).count(HINT) == 1
    runs.assert_same_bits(runs.weights(compiled, 6), runs.weights(slow, 6))


def test_setup_says_in_a_line_why_there_are_none_and_goes_on(tmp_path):
    """With a compiler that is not there, one that fails, one that makes nothing, one whose library
    does not load, and one whose words are no UTF-8.
    """
    broken = tmp_path / 'broken'
    broken.write_text('#!/bin/sh\nwhile [ $# -gt 1 ]; do [ $1 = -o ] && echo > "$2"; shift; done\n')
    broken.chmod(0o755)
    latin = tmp_path / 'latin'
    latin.write_bytes(b'#!/bin/sh\nprintf "caf\\351.cc: error\\n"\nexit 1\n')
    latin.chmod(0o755)
    code = (
        'import runpy; from mobilenet import native; '
        f'native.library = lambda: {str(tmp_path / "lib" / "kernels.so")!r}; '
        "runpy.run_module('mobilenet.native.__main__')"
    )
    for compiler, word in (
        ('/nowhere/g++', '/nowhere/g++'),
        ('false', 'false'),
        ('true', 'No such file'),
        (str(broken), 'too short'),
        (str(latin), '.cc: error'),
    ):
        done = subprocess.run(
            [sys.executable, '-c', code],
            env=runs.environment(CXX=compiler, PYTHONPATH=ROOT),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (0, '')
        lines = [line for line in done.stderr.splitlines() if 'not compiled' in line]
        assert len(lines) == 1 and word in lines[0] and 'mobilenet.native' in lines[0], done.stderr
    assert native.library().endswith('.so') and list((tmp_path / 'lib').iterdir()) == []
