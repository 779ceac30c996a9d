#!/usr/bin/env python3
"""Runs the same steps on two devices (or two builds, two precisions, two copies of the code) and says where they part.

    python scripts/parity.py --steps 3 --a host --b npu --dataset_name digits --image_size 48
    python scripts/parity.py --steps 3 --a "host float32" --b "host float16" --tolerance 1e-2 --dataset_name digits --image_size 48
    python scripts/parity.py --a host --b host --python_b ../stock/.venv/bin/python --dataset_name digits --image_size 48
    python scripts/parity.py --a host --b results/from_the_server --dataset_name digits --image_size 48

A side is words and flags of train_loop.py: host, npu; float32, nearly_float32 (float16 only where an op has no
float32, for a 910A), float16; --loss_scale=1 …; or the folder of a side that has run before, here or elsewhere. All other flags go to both. Both run --deterministic from the same weights and dump every step; A's
weights at the start go to B. Files: OUT/a, OUT/b (the runs), OUT/parity.csv, OUT/parity.html. B is the golden side.
Exit status: 0 they agree, 3 they part, 2 wrong use, 1 a side failed.
"""

import collections
import os
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from mobilenet import command, flag_types
from mobilenet.comparison import compare, page, report
from mobilenet.errors import UsageError
from scripts import tool
import train_loop

WORDS = {
    'host': '--device=host',
    'npu': '--device=npu',
    'float32': '--precision_mode=must_keep_origin_dtype',
    'nearly_float32': '--precision_mode=allow_fp32_to_fp16',
    'float16': '--precision_mode=allow_mix_precision',
}
PARTED = 3


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
        help=f'RelativeEuclideanDistance above which a tensor departs, default {compare.TOLERANCE:g}',
    )
    parser.add_argument('--out', default='results/parity', help='default results/parity')
    flag_types.add_switch(parser, '--overwrite', 'replace what OUT holds')
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
        self.finished = os.path.isdir(os.path.join(text, 'dumps'))
        self.folder = text if self.finished else os.path.join(args.out, name)
        self.flags = [] if self.finished else [WORDS.get(word, word) for word in shlex.split(text)]
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
        done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f'status {done.returncode}'])[-1]
            if done.returncode != 2 and {WORDS['npu'], WORDS['float32']} <= set(self.flags):
                last += ' (a 910A lacks float32 convolutions: nearly_float32 is nearest there)'
            raise (UsageError if done.returncode == 2 else RuntimeError)(
                f'side {self.name}: {last}'
            )


def prepare(args, sides):
    """An empty OUT."""
    for side in sides:
        if side.finished:
            continue
        if os.path.exists(side.folder):
            if not args.overwrite:
                raise UsageError(f'{side.folder} exists: give --overwrite, or another --out')
            shutil.rmtree(side.folder)
    command.make_folder(args.out, '--out')


def run_sides(args, sides, others):
    common = others + [
        '--deterministic',
        f'--max_train_steps={args.steps}',
        f'--dump_steps=0-{args.steps - 1}',
        '--keep_checkpoints=2',
    ]
    for side in sides:
        if not side.finished and (side.python, side.tree) == (sys.executable, ROOT):
            train_loop.parse(common + side.flags)  # what is wrong with B is said before A has run
    a, b = sides
    a.run(common)
    given = any(flag.split('=')[0] == '--checkpoint_path' for flag in others)
    b.run(
        common + ([] if given else ['--checkpoint_path=' + os.path.join(a.folder, 'model.ckpt-0')])
    )


def step_table(rows):
    """A line a step: the losses, and the layer that departs most of activations, gradients and weights."""
    steps = collections.OrderedDict()
    for row in rows:
        steps.setdefault(row.step, []).append(row)
    head = '{:>5}  {:>13}  {:>13}  {:>10}   {:<52}{:<52}{}'.format(
        'step',
        'loss A',
        'loss B',
        'difference',
        'largest distance: weights before',
        'activations',
        'gradients',
    )
    return [head] + [_step_line(step, group) for step, group in steps.items()]


def _step_line(step, rows):
    losses = [row for row in rows if row.known.name == 'loss']
    a, b = (
        (float(losses[0].a.load()), float(losses[0].b.load()))
        if losses
        else (float('nan'), float('nan'))
    )
    worst = []
    for prefix in ('weight:', 'act:', 'grad:'):
        group = [row for row in rows if row.known.name.startswith(prefix)]
        row = max(
            group,
            key=lambda r: (r.departs, r.distance if r.distance == r.distance else float('inf')),
            default=None,
        )
        worst.append(
            '-'
            if row is None
            else 'equal'
            if all(r.equal for r in group)
            else '{:.2e} {}'.format(
                row.distance, row.known.name[len(prefix) :].replace('/BatchNorm/', '/')
            )
        )
    return '{:>5}  {:>13.9g}  {:>13.9g}  {:>+10.2e}   {:<52}{:<52}{}'.format(
        step, a, b, a - b, *worst
    )


def layer_table(rows, step):
    """A line a layer at a step: the largest distance of its weights, activation and gradients."""
    layers = collections.OrderedDict()
    for row in rows:
        prefix = row.known.name.partition(':')[0]
        if row.step == step and row.known.layer and prefix in ('weight', 'act', 'grad'):
            layers.setdefault(row.known.layer, {}).setdefault(prefix, []).append(row)
    lines = [
        '{:<28}{:>16}{:>12}{:>12}'.format(
            f'step {step}, layer', 'weights before', 'activation', 'gradients'
        )
    ]
    for layer, kinds in layers.items():
        marks = [_mark(kinds.get(kind)) for kind in ('weight', 'act', 'grad')]
        parts = any(r.departs for group in kinds.values() for r in group)
        lines.append(
            '{:<28}{:>16}{:>12}{:>12}{}'.format(layer, *marks, '  departs' if parts else '')
        )
    return lines


def _mark(rows):
    """The largest distance of some tensors of a layer, in a word."""
    if not rows:
        return '-'
    if all(row.equal for row in rows):
        return 'equal'
    return (
        f'{max(row.distance for row in rows):.2e}'
        if all(row.all_finite for row in rows)
        else 'not finite'
    )


def final_weights(sides, steps):
    """How far the weights are apart after the last step, in one line."""
    from mobilenet import devices

    tf = devices.import_tensorflow()
    import numpy as np

    from mobilenet import checkpoints

    paths = [checkpoints.latest(side.folder) for side in sides]
    if not all(paths):
        return f'weights after {steps} steps: a side has no checkpoint'
    a, b = (tf.train.load_checkpoint(path) for path in paths)
    names = sorted(set(a.get_variable_to_shape_map()) & set(b.get_variable_to_shape_map()))
    worst, name, equal = 0.0, '', 0
    for n in names:
        x, y = a.get_tensor(n), b.get_tensor(n)
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
    sides = [Side(args, name) for name in 'ab']
    prepare(args, sides)
    run_sides(args, sides, others)
    result = compare.compare(sides[0].dumps, sides[1].dumps, args.tolerance)
    report.write_csv(os.path.join(args.out, 'parity.csv'), result)
    page.write(os.path.join(args.out, 'parity.html'), result, sides[0].dumps, sides[1].dumps)
    lines = report.first_lines(result) + [''] + step_table(result.rows) + ['']
    if result.first:
        lines += layer_table(result.rows, result.first.step) + ['']
    lines += [
        final_weights(sides, args.steps),
        report.summary(result),
        f'more in {args.out}/parity.html and {args.out}/parity.csv',
    ]
    print('\n'.join(lines))
    return 0 if result.agrees else PARTED


if __name__ == '__main__':
    tool.run(main)
