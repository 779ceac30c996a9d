#!/usr/bin/env python3
"""Runs the same steps on two devices (or two builds, two precisions, two copies of the code) and
says where they differ.

    python scripts/parity.py --steps 3 --a host --b npu --dataset_name digits --image_size 48
    python scripts/parity.py --steps 3 --a "host float32" --b "host float16" --tolerance 1e-2 \\
        --dataset_name digits --image_size 48
    python scripts/parity.py --a host --b host --python_b ../stock/.venv/bin/python \\
        --dataset_name digits --image_size 48
    python scripts/parity.py --a host --b results/from_the_server --dataset_name digits \\
        --image_size 48

A side is words and flags of train_loop.py: host, npu; float32, nearly_float32 (float16 only where
an op has no float32, for a 910A), float16; --loss_scale=1 …; or the folder of a side that has run
before (with --keep all), here or elsewhere. All other flags go to both. Both run --deterministic
from the same weights and dump every step; A's weights at the start go to B. B is the golden side.
What the runs say goes to stderr.
Files: OUT/a, OUT/b (the runs), OUT/parity.csv, OUT/parity.html. The dumps are large: afterwards
only those of the first step that differs are kept.
Exit status: 0 they agree, 3 they differ, 2 wrong use, 1 a side failed.
"""

import os
import shlex
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mobilenet import command, flag_types
from mobilenet.comparison import compare, layers, page, report
from mobilenet.debug import dumps
from mobilenet.errors import UsageError
from scripts import tool
import train_loop

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORDS = {
    'host': '--device=host',
    'npu': '--device=npu',
    'float32': '--precision_mode=must_keep_origin_dtype',
    'nearly_float32': '--precision_mode=allow_fp32_to_fp16',
    'float16': '--precision_mode=allow_mix_precision',
}
OUT = 'results/parity'
DIFFERS = 3


def make_parser():
    parser = flag_types.Parser(
        prog='parity.py',
        description=__doc__.split('\n')[0],
        allow_abbrev=False,
        epilog='All other flags are those of train_loop.py, for both sides.',
    )
    parser.add_argument(
        '--a',
        default='host',
        metavar='SIDE',
        help='such as host, npu, "host float16", or a finished side\'s folder',
    )
    parser.add_argument('--b', default='npu', metavar='SIDE', help='the golden side, default npu')
    parser.add_argument('--steps', type=flag_types.count(), default=3, help='default 3')
    parser.add_argument(
        '--tolerance',
        type=flag_types.number(0),
        default=compare.TOLERANCE,
        help='RelativeEuclideanDistance above which a tensor differs, default '
        f'{compare.TOLERANCE:g}',
    )
    parser.add_argument(
        '--out', help=f'default {OUT}, where the sides of an earlier comparison are replaced'
    )
    flag_types.add_switch(parser, '--overwrite', 'replace what OUT holds')
    parser.add_argument(
        '--keep',
        choices=('first', 'all', 'none'),
        default='first',
        help='which dumps stay: those of the first step that differs (default), all, which can be '
        'the folder of a side again, or none',
    )
    for side in 'ab':
        parser.add_argument(
            '--python_' + side,
            default=sys.executable,
            metavar='PYTHON',
            help='the interpreter of that side: another build',
        )
        parser.add_argument(
            '--tree_' + side,
            default=ROOT,
            metavar='DIR',
            help='another copy of this project for that side',
        )
    return parser


class Side:
    """One side: a folder with a run's dumps, which `run` fills unless it is there already."""

    def __init__(self, args, name):
        self.name, text = name, getattr(args, name)
        self.python, self.tree = getattr(args, 'python_' + name), getattr(args, 'tree_' + name)
        self.text = text
        self.finished = os.path.isdir(os.path.join(text, 'dumps'))
        self.folder = text if self.finished else os.path.join(args.out, name)
        try:
            words = [] if self.finished else shlex.split(text)
        except ValueError:  # a quotation mark without its second
            words = [text]
        self.flags = [WORDS.get(word, word) for word in words]
        wrong = [word for word in self.flags if not word.startswith('--')]
        if wrong:
            raise UsageError(
                '--{} {}: {} is neither of {} nor a flag nor the folder of a side'.format(
                    name, text, wrong[0], ', '.join(WORDS)
                )
            )
        if not os.path.isfile(os.path.join(self.tree, 'train_loop.py')):
            raise UsageError(f'--tree_{name} {self.tree}: no train_loop.py there')

    @property
    def dumps(self):
        return os.path.join(self.folder, 'dumps')

    def run(self, common):
        if self.finished:
            return
        argv = (
            [self.python, os.path.join(self.tree, 'train_loop.py')]
            + common
            + self.flags
            + ['--train_dir=' + self.folder]
        )
        started, last = time.time(), ''
        say(f'side {self.name}: {self.text}, into {self.folder}')
        with tool.child(
            subprocess.Popen(
                argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors='replace'
            )
        ) as process:
            for line in process.stderr:
                last = line.strip() or last
                say(f'side {self.name}: {line.rstrip()}')
            process.wait()
        if process.returncode:
            last = last or f'status {process.returncode}'
            if process.returncode != 2 and {WORDS['npu'], WORDS['float32']} <= set(self.flags):
                last += ' (a 910A lacks float32 convolutions: nearly_float32 is nearest there)'
            raise (UsageError if process.returncode == 2 else RuntimeError)(
                f'side {self.name}: {last}'
            )
        say(f'side {self.name}: took {time.time() - started:.0f} s')

    def keep(self, step):
        """Removes the dumps but those of one step (None: of all), of a side that has run here."""
        if self.finished:
            return
        kept = None if step is None else dumps.folder_of(self.dumps, step)
        for name in os.listdir(self.dumps):
            path = os.path.join(self.dumps, name)
            if path != kept:
                shutil.rmtree(path)


def say(text):
    print(text, file=sys.stderr, flush=True)


def prepare(args, sides, replace):
    """An empty OUT. replace: a side that is there goes, without being asked for."""
    for side in sides:
        if side.finished or not os.path.exists(side.folder):
            continue
        if not (replace or args.overwrite):
            raise UsageError(f'{side.folder} exists: give --overwrite, or another --out')
        say(f'side {side.name}: {side.folder} of an earlier comparison is replaced')
        shutil.rmtree(side.folder)
    command.make_folder(args.out, '--out')


def common_flags(args, others):
    return others + [
        '--deterministic',
        f'--max_train_steps={args.steps}',
        f'--dump_steps=0-{args.steps - 1}',
        '--keep_checkpoints=2',
    ]


def check_flags(args, sides, others):
    """What is wrong with B is said before A has run, and before anything is removed."""
    for side in sides:
        if not side.finished and (side.python, side.tree) == (sys.executable, ROOT):
            train_loop.parse(common_flags(args, others) + side.flags)


def run_sides(args, sides, others):
    common = common_flags(args, others)
    a, b = sides
    a.run(common)
    given = any(flag.split('=')[0] == '--checkpoint_path' for flag in others)
    start = ['--checkpoint_path=' + os.path.join(a.folder, 'model.ckpt-0'), '--new_training']
    b.run(common + ([] if given else start))


def final_weights(sides, steps):
    """How far the weights are apart after the last step, in one line."""
    from mobilenet import devices

    devices.import_tensorflow()
    import numpy as np

    from mobilenet import checkpoints, weights

    paths = [checkpoints.latest(side.folder) for side in sides]
    if not all(paths):
        return f'weights after {steps} steps: a side has no checkpoint'
    a, b = (weights.open_weights(path) for path in paths)
    names = sorted(set(a.shapes) & set(b.shapes))
    a, b, worst, name, equal = a.values(names), b.values(names), 0.0, '', 0
    for n in names:
        x, y = a[n], b[n]
        equal += bool(np.array_equal(x, y))
        distance = float(
            np.linalg.norm(np.subtract(x, y, dtype=np.float64)) / (np.linalg.norm(y) or 1.0)
        )
        worst, name = max((worst, name), (distance, n))
    return 'variables after {} steps: {} of {} equal bit for bit{}'.format(
        steps,
        equal,
        len(names),
        f'; largest distance {worst:.2e}, {name}' if equal < len(names) else '',
    )


def main():
    args, others = make_parser().parse_known_args()
    replace = args.out is None
    args.out = OUT if replace else args.out
    sides = [Side(args, name) for name in 'ab']
    check_flags(args, sides, others)
    prepare(args, sides, replace)
    run_sides(args, sides, others)
    say('comparing the dumps')
    result = compare.compare(sides[0].dumps, sides[1].dumps, args.tolerance)
    report.write_csv(os.path.join(args.out, 'parity.csv'), result)
    page.write(os.path.join(args.out, 'parity.html'), result, sides[0].dumps, sides[1].dumps)
    first = result.first
    lines = report.first_lines(result) + [''] + layers.step_table(result.rows) + ['']
    if first:
        lines += layers.layer_table(result.rows, first.step) + ['']
    lines += [
        final_weights(sides, args.steps),
        report.summary(result),
        f'more in {args.out}/parity.html and {args.out}/parity.csv',
    ]
    print('\n'.join(lines))
    if args.keep != 'all':
        step = first.step if first and args.keep == 'first' else None
        for side in sides:
            side.keep(step)
        left = 'removed' if step is None else f'removed but for step {step}'
        say(f'the dumps in {args.out} are {left}; --keep all keeps them')
    return 0 if result.agrees else DIFFERS


if __name__ == '__main__':
    tool.run(main)
