"""Every command: a wrong flag is status 2 and one line; no room for what it prints, status 1 and
one line.
"""

import glob
import os
import subprocess

import pytest

from tests.helpers import ROOT, runs

# Parts of commands: what they share, and what mutate.py starts in an environment of its own.
NO_COMMANDS = {'tool.py', 'fuzz_inputs.py', 'mutants.py'}
NO_COMMANDS |= {'environments.py', 'photographs.py', 'turns.py'}
SCRIPTS = sorted(
    os.path.relpath(path, ROOT)
    for pattern in ('scripts/*.py', 'scripts/bench/*.py')
    for path in glob.glob(os.path.join(ROOT, pattern))
    if os.path.basename(path) not in NO_COMMANDS
)


def run(path, *arguments, stdout=subprocess.PIPE):
    """The ended process; TensorFlow is imported by few before their flags are read."""
    env = runs.environment(TF_DISABLE_MKL='1')
    command = runs.command(path, *arguments)
    return subprocess.run(command, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize('path', SCRIPTS + ['train_loop.py', 'eval_loop.py'])
def test_a_wrong_flag_is_one_line(path):
    ended = run(path, '--no_such_flag')
    assert (ended.returncode, ended.stdout) == (2, ''), ended.stderr
    assert len(ended.stderr.splitlines()) == 1 and ended.stderr.split(': ')[0].endswith('.py')


@pytest.mark.parametrize('path', SCRIPTS)
def test_a_full_disk_under_stdout_is_one_line(path):
    with open('/dev/full', 'w') as full:
        ended = run(path, '--help', stdout=full)
    assert ended.returncode == 1, ended.stderr
    assert len(ended.stderr.splitlines()) == 1 and 'No space left' in ended.stderr


@pytest.mark.parametrize(
    'command,words',
    [
        ('kill_ranks.py --times', '--times: expected one argument'),
        ('kill_ranks.py --times=0', '0 is out of range'),
        ('drill.py --jobs=two', "'two' is not a whole number"),
        ('mutate.py --modules=nothing', '--modules=nothing: no module'),
        ('mutate.py --jobs=0', '--jobs=0: at least 1'),
        ('bench/bench_step.py --turns=0', '0 is out of range'),
        ('bench/bench_step.py --peers=keras', 'keras is none of'),
        ('bench/bench_scaling.py --ranks=two', 'two'),
    ],
)
def test_a_wrong_value_is_one_line(command, words):
    path, *arguments = command.split()
    ended = run(f'scripts/{path}', *arguments)
    assert (ended.returncode, ended.stdout) == (2, ''), ended.stderr
    assert len(ended.stderr.splitlines()) == 1 and words in ended.stderr, ended.stderr


def test_all_scripts_are_found():
    assert {'scripts/drill.py', 'scripts/bench/bench_step.py'} <= set(SCRIPTS) and len(SCRIPTS) > 25
