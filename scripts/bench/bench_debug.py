#!/usr/bin/env python3
"""Times the training loop against an older commit of this project, and with the debugger's flags
against without.

    python scripts/bench/bench_debug.py --before 67d8c36        the last commit without a debugger

Whole runs of train_loop.py on synthetic images (MobileNetV1 0.25 at 32x32, batch 8: little work, so
that the loop shows), which take turns; a run's figure is the median of its metrics.jsonl's
images_per_sec without the first loops. Last lines: `ratio NAME VALUE`, medians over the turns:
loop_over_before, norms_over_loop (--norms_every_steps 100), stepping_over_loop (each step alone,
its variables kept).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from mobilenet import flag_types
from scripts import tool

ROOT = sys.path[0]
FLAGS = [
    '--device=host',
    '--dataset_name=synthetic',
    '--model_name=mobilenet_v1_025',
    '--image_size=32',
    '--batch_size=8',
    '--learning_rate=0.01',
    '--warmup_epochs=0',
    '--save_every_steps=1000000',
]


def parse():
    parser = flag_types.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--before', default='67d8c36', help='a commit, default 67d8c36')
    parser.add_argument(
        '--turns', type=flag_types.count(), default=5, help='runs of each, default 5'
    )
    parser.add_argument(
        '--steps', type=flag_types.count(), default=400, help='steps a run, default 400'
    )
    parser.add_argument(
        '--iterations_per_loop', type=flag_types.count(), default=10, help='default 10'
    )
    return parser.parse_args()


def images_per_sec(tree, steps, more):
    """One run's median."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, os.path.join(tree, 'train_loop.py')]
            + FLAGS
            + [f'--max_train_steps={steps}', '--train_dir=' + os.path.join(folder, 'run')]
            + more,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            sys.exit(
                'bench_debug.py: {}'.format((done.stderr.strip().splitlines() or ['no output'])[-1])
            )
        with open(os.path.join(folder, 'run', 'metrics.jsonl')) as f:
            rates = [json.loads(line)['images_per_sec'] for line in f]
    return statistics.median(rates[len(rates) // 4 :])


def main():
    args = parse()
    loops = [f'--iterations_per_loop={args.iterations_per_loop}']
    with tempfile.TemporaryDirectory() as folder:
        before, script = os.path.join(folder, 'before'), os.path.join(folder, 'script')
        subprocess.run(
            ['git', '-C', ROOT, 'worktree', 'add', '--quiet', '--detach', before, args.before],
            check=True,
        )
        with open(script, 'w') as f:
            f.write(f'next {args.steps}\ncontinue\n')
        sides = [
            ('before', before, loops),
            ('loop', ROOT, loops),
            ('norms', ROOT, loops + ['--norms_every_steps=100']),
            ('stepping', ROOT, ['--step_script=' + script]),
        ]
        seen = {name: [] for name, _, _ in sides}
        try:
            for turn in range(args.turns):
                for name, tree, more in sides[:: 1 if turn % 2 else -1]:
                    seen[name].append(images_per_sec(tree, args.steps, more))
                print(
                    'turn {}: {} images/s'.format(
                        turn, '  '.join(f'{n} {seen[n][-1]:.0f}' for n, _, _ in sides)
                    ),
                    flush=True,
                )
        finally:
            subprocess.run(
                ['git', '-C', ROOT, 'worktree', 'remove', '--force', before], check=False
            )
    for name, over, under in (
        ('loop_over_before', 'loop', 'before'),
        ('norms_over_loop', 'norms', 'loop'),
        ('stepping_over_loop', 'stepping', 'loop'),
    ):
        print(
            f'ratio {name} {statistics.median(a / b for a, b in zip(seen[over], seen[under])):.3f}'
        )


if __name__ == '__main__':
    tool.run(main)
