"""Mutation tests: changes the arithmetic and the checks, and names the changes no test notices.

    scripts/mutate.py                               all modules
    scripts/mutate.py --modules schedules,losses    those whose path has one of these in it

The mutants are mutmut's (an environment of its own, .venv-mutmut, made at the first use). Each runs
the tests of its module in a process forked from one that has TensorFlow imported, so that it costs
a second. Mutants that no test can tell from the original are in tests/mutants_equivalent.txt, with
the reason, and do not count. Exit status: 0 every module has at least --least of its mutants
killed, 1 one has not, 2 wrong use.
"""

import argparse
import collections
import importlib.machinery
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mobilenet import command, terminal, virtual_env
from mobilenet.errors import UsageError

ROOT = sys.path[0]
ENVIRONMENT = os.path.join(ROOT, '.venv-mutmut')
EQUIVALENT = os.path.join(ROOT, 'tests', 'mutants_equivalent.txt')

CHECKPOINTS = ['tests/mobilenet/checkpoints/test_files.py']
RANK_TABLES = [
    'tests/hccl/test_rank_table_format.py',
    'tests/hccl/test_rank_table_wrong.py',
    'tests/hccl/test_rank_table.py',
]
EXPRESSIONS = [
    'tests/mobilenet/debug/test_expressions.py',
    'tests/mobilenet/debug/test_any_expression.py',
]
# Modules and their tests: those that run within the test's process, the quickest first.
MODULES = {
    'mobilenet/schedules.py': ['tests/mobilenet/test_schedules.py'],
    'mobilenet/losses.py': ['tests/mobilenet/test_losses.py'],
    'mobilenet/loss_scale.py': ['tests/mobilenet/test_loss_scale.py'],
    'mobilenet/moving_averages.py': ['tests/mobilenet/test_moving_averages.py'],
    'mobilenet/multi_tensor.py': ['tests/mobilenet/test_multi_tensor.py'],
    'mobilenet/optimizers.py': ['tests/mobilenet/test_optimizers.py'],
    'mobilenet/evaluation.py': ['tests/mobilenet/test_evaluation.py'],
    'data/order.py': ['tests/data/test_order.py'],
    'data/augment.py': [
        'tests/data/test_augment_numbers.py',
        'tests/data/test_augment.py::test_augmentation_apart_from_the_resize',
    ],
    'data/render.py': ['tests/data/test_render.py'],
    'hccl/rank_table.py': [
        'tests/hccl/test_rank_table_files.py',
        'tests/hccl/test_rank_table.py',
        'tests/hccl/test_rank_table_wrong.py',
    ],
    'hccl/rank_table_format.py': RANK_TABLES,
    'hccl/rank_table_checks.py': RANK_TABLES,
    'mobilenet/configuration.py': [
        'tests/mobilenet/test_needed_flags.py',
        'tests/mobilenet/test_configuration.py',
        'tests/mobilenet/devices/test_threads.py',
    ],
    'mobilenet/flag_types.py': ['tests/mobilenet/test_flag_types.py'],
    'mobilenet/recipe_flags.py': [
        'tests/mobilenet/test_flags.py',
        'tests/mobilenet/test_configuration.py',
    ],
    'mobilenet/checkpoints/names.py': CHECKPOINTS,
    'mobilenet/checkpoints/checksums.py': CHECKPOINTS,
    'mobilenet/checkpoints/position.py': CHECKPOINTS,
    'mobilenet/checkpoints/missing.py': [
        'tests/mobilenet/checkpoints/test_missing.py',
        'tests/mobilenet/checkpoints/test_files.py',
    ],
    'mobilenet/checkpoints/alias.py': ['tests/mobilenet/checkpoints/test_alias.py'],
    'mobilenet/checkpoints/room.py': ['tests/mobilenet/checkpoints/test_room.py'],
    'mobilenet/checkpoints/store.py': [
        'tests/mobilenet/checkpoints/test_store_refusals.py',
        'tests/mobilenet/checkpoints/test_store_writing.py',
        'tests/mobilenet/checkpoints/test_store.py',
    ],
    'mobilenet/same_run.py': ['tests/mobilenet/test_same_run.py'],
    'mobilenet/comparison/compare.py': [
        'tests/mobilenet/comparison/test_comparison.py',
        'tests/mobilenet/comparison/test_compare.py',
    ],
    'mobilenet/comparison/statistics.py': ['tests/mobilenet/comparison/test_dump_files.py'],
    'mobilenet/comparison/layers.py': ['tests/mobilenet/comparison/test_layers.py'],
    'mobilenet/debug/changes.py': ['tests/mobilenet/debug/test_changes.py'],
    'mobilenet/debug/expressions.py': EXPRESSIONS,
    'mobilenet/debug/evaluation.py': EXPRESSIONS,
    'mobilenet/patterns.py': ['tests/mobilenet/test_patterns.py'],
}

Mutant = collections.namedtuple('Mutant', 'path line old new source')


def main():
    args = parse(sys.argv[1:])
    modules = {
        path: tests
        for path, tests in MODULES.items()
        if not args.modules or any(word in path for word in args.modules.split(','))
    }
    if not modules:
        raise UsageError(f'--modules={args.modules}: no module has one of these in its path')
    import_what_takes_long()
    low = []
    for path, tests in modules.items():
        share = test_module(path, tests, args.jobs)
        if share < args.least:
            low.append(path)
    if low:
        print(f'under {args.least:g} %:', ', '.join(low))
    return 1 if low else 0


class Parser(argparse.ArgumentParser):
    """As flag_types.Parser, which is one of MODULES."""

    def error(self, message):
        raise UsageError(f'{" ".join(message.split())} (--help lists the flags)')


def parse(argv):
    parser = Parser(
        prog='mutate.py', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--modules', metavar='A,B', help='only those with one of these in the path')
    parser.add_argument(
        '--jobs',
        type=int,
        default=len(os.sched_getaffinity(0)),
        help='mutants at a time; default: the cores of this process',
    )
    parser.add_argument(
        '--least', type=float, default=95.0, metavar='PERCENT', help='default 95, in each module'
    )
    args = parser.parse_args(argv)
    if args.jobs < 1:
        raise UsageError(f'--jobs={args.jobs}: at least 1')
    return args


def import_what_takes_long():
    """Before the forks. No module of MODULES, nor what imports one: a mutant is found at the first
    import.
    """
    os.environ.update(TF_CPP_MIN_LOG_LEVEL='2', TF_DISABLE_MKL='1', OMP_NUM_THREADS='1')
    os.environ['NUMBA_DISABLE_JIT'] = '1'  # numba would take the original's machine code
    os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'  # loading them takes longer than most tests
    import warnings

    warnings.simplefilter('ignore')
    import hypothesis  # noqa: F401
    import numba  # noqa: F401
    import PIL.Image  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import tensorflow  # noqa: F401


def test_module(path, tests, jobs):
    """Prints the score of a module and its survivors; gives the percentage killed."""
    started = time.time()
    run_all([None], tests, 600, 1)  # fills the caches of bytecode
    before = os.times()
    if run_all([None], tests, 600, 1)[0][1] != 0:
        raise SystemExit(f'mutate.py: {path}: its tests fail without a mutant: ' + ' '.join(tests))
    limit = int(5 + 5 * (os.times().children_user - before.children_user))
    equivalent = read_equivalent().get(path, {})
    all_mutants = read_mutants(path)
    mutants = [m for m in all_mutants if (m.old, m.new) not in equivalent]
    ended = run_all(mutants, tests, limit, jobs)
    survivors = [mutant for mutant, status in ended if status == 0]
    late = sum(os.WIFSIGNALED(status) for _, status in ended)
    share = 100 * (1 - len(survivors) / len(mutants)) if mutants else 100.0
    print(
        f'{path}: {share:.1f} % of {len(mutants)} killed ({late} by the limit of {limit} s), '
        f'{len(all_mutants) - len(mutants)} equivalent, {time.time() - started:.0f} s',
        flush=True,
    )
    for m in sorted(survivors, key=lambda m: m.line):
        print(f'  {m.path}:{m.line}\n    - {m.old}\n    + {m.new}', flush=True)
    for old, new in sorted(set(equivalent) - {(m.old, m.new) for m in all_mutants}):
        print(f'  no such mutant any more:\n    - {old}\n    + {new}', flush=True)
    return share


def read_mutants(path):
    python = virtual_env.python(ENVIRONMENT, ['mutmut==2.4.5'])
    script = os.path.join(ROOT, 'scripts', 'mutants.py')
    text = subprocess.check_output([python, script, path], cwd=ROOT, universal_newlines=True)
    return [Mutant(path=path, **json.loads(line)) for line in text.splitlines()]


def read_equivalent():
    """{path: {(old, new): reason}} of tests/mutants_equivalent.txt."""
    found, path, old = collections.defaultdict(dict), None, None
    with open(EQUIVALENT) as f:
        for line in f:
            kind, text = line[:2], line[2:].strip()
            if kind == '@ ':
                path = text
            elif kind == '# ':
                reason = text
            elif kind == '- ':
                old = text
            elif kind.startswith('+'):
                found[path][old, text] = reason
    return found


def run_all(mutants, tests, limit, jobs):
    """Runs every mutant (None: the original), `jobs` at a time; gives [(mutant, wait status)]."""
    running, ended, waiting = {}, [], list(reversed(mutants))
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[start_tests(mutant, tests, limit)] = mutant
        pid, status = os.wait()
        ended.append((running.pop(pid), status))
        shutil.rmtree(scratch(pid), ignore_errors=True)
    return ended


def start_tests(mutant, tests, limit):
    """Forks a process that runs the tests with the mutant in the module's place; gives its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # A loop without an end counts as noticed, by its own seconds: the machine may be busy. One
        # that sleeps has none.
        signal.setitimer(signal.ITIMER_PROF, limit)
        signal.alarm(60 * limit)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.chdir(ROOT)
        os.mkdir(scratch(os.getpid()))
        os.environ['TMPDIR'] = tempfile.tempdir = scratch(os.getpid())
        if mutant:
            sys.meta_path.insert(0, Finder(mutant))
        import pytest

        status = pytest.main(['-x', '-q', '-p', 'no:cacheprovider', '-o', 'addopts='] + tests)
    finally:
        os._exit(int(status))


def scratch(pid):
    """The folder for temporary files of a process that runs tests."""
    return os.path.join(tempfile.gettempdir(), f'mutant_{pid}')


class Finder:
    """Finds the mutant where its module is asked for."""

    def __init__(self, mutant):
        self.path = os.path.join(ROOT, mutant.path)
        name = mutant.path[: -len('.py')].replace('/', '.')
        self.name = name[: -len('.__init__')] if name.endswith('.__init__') else name
        self.source = mutant.source

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        loader = Loader(name, self.path)
        loader.source = self.source
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


class Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        return compile(self.source, self.path, 'exec')


if __name__ == '__main__':
    terminal.protect(outliving=False)
    sys.exit(command.status_of('mutate.py', main))
