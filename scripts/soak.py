#!/usr/bin/env python3
"""Runs a long training of a tiny network and shows that nothing grows with the steps.

    python scripts/soak.py                          20,000 steps on the host, about 7 minutes
    python scripts/soak.py --kernels plain

It starts train_loop.py, looks at its process once a second (memory, open files, threads, bytes of
its logs and events) and draws it all over the steps, into --out. The last lines are `slope NAME
VALUE`: growth a step of the second half, a least-squares line. Exit status 1 where memory grows by
more than --limit bytes a step.
"""

import glob
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mobilenet import command, flag_types
from mobilenet.errors import Failure, UsageError
from scripts import tool

ROOT = sys.path[0]
SAVE_EVERY = 1000


def parse():
    parser = flag_types.Parser(prog='soak.py', description=__doc__.split('\n\n')[0])
    parser.add_argument('--steps', type=flag_types.count(), default=20000, help='default 20000')
    parser.add_argument('--model_name', default='mobilenet_v1_025')
    parser.add_argument(
        '--kernels', default='onednn', choices=('auto', 'onednn', 'plain'), help='default onednn'
    )
    parser.add_argument('--out', default='results/soak', help='default results/soak')
    parser.add_argument(
        '--limit',
        type=flag_types.number(0),
        default=1024,
        help='bytes of memory a step, default 1024',
    )
    return parser.parse_args()


def start(args, train_dir):
    flags = {
        'dataset_name': 'digits',
        'preprocessing_name': 'none',
        'model_name': args.model_name,
        'image_size': 32,
        'batch_size': 8,
        'kernels': args.kernels,
        'iterations_per_loop': 20,
        'max_train_steps': args.steps,
        'save_every_steps': SAVE_EVERY,
        'train_dir': train_dir,
    }
    argv = [sys.executable, os.path.join(ROOT, 'train_loop.py')]
    argv += [f'--{name}={value}' for name, value in flags.items()]
    with open(os.path.join(args.out, 'output.txt'), 'w') as output:
        return subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT)


def watch(process, steps, train_dir):
    """What `look` sees once a second, until the process ends."""
    seen = []
    while process.poll() is None:
        time.sleep(1.0)
        entry = look(process.pid, train_dir)
        # While a checkpoint is written it has more files and threads: that is no growth.
        saves = entry and entry['step'] in (*range(0, steps, SAVE_EVERY), steps)
        if entry and not saves and (not seen or entry['step'] > seen[-1]['step']):
            seen.append(entry)
    return seen


def look(pid, train_dir):
    """{name: number} of a process and its files; None before its first loop and after its end."""
    try:
        with open(f'/proc/{pid}/status') as f:
            status = f.read()
        files = len(os.listdir(f'/proc/{pid}/fd'))
        with open(os.path.join(train_dir, 'metrics.jsonl'), 'rb') as f:
            f.seek(-min(4096, os.path.getsize(f.name)), os.SEEK_END)
            step = json.loads(f.read().splitlines()[-1])['step']
        return {
            'step': step,
            'memory_bytes': int(re.search(r'VmRSS:\s*(\d+)', status).group(1)) * 1024,
            'open_files': files,
            'threads': int(re.search(r'Threads:\s*(\d+)', status).group(1)),
            'log_bytes': _size(train_dir, '*.log') + _size(train_dir, 'metrics.jsonl'),
            'event_bytes': _size(train_dir, 'events.*'),
        }
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def _size(folder, pattern):
    return sum(
        os.path.getsize(path) for path in glob.glob(os.path.join(glob.escape(folder), pattern))
    )


def slopes(seen):
    """{name: growth a step} over the second half of the steps."""
    import numpy as np

    late = [s for s in seen if s['step'] >= seen[-1]['step'] / 2]
    steps = [s['step'] for s in late]
    return {
        name: float(np.polyfit(steps, [s[name] for s in late], 1)[0])
        for name in seen[0]
        if name != 'step'
    }


def draw(seen, path):
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    names = [name for name in seen[0] if name != 'step']
    figure, axes = pyplot.subplots(len(names), 1, sharex=True, figsize=(8, 2 * len(names)))
    for name, axis in zip(names, axes):
        axis.plot([s['step'] for s in seen], [s[name] for s in seen])
        axis.set_ylabel(name.replace('_', ' '))
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel('step')
    figure.tight_layout()
    figure.savefig(path)


def main():
    args = parse()
    train_dir = os.path.join(args.out, 'train')
    command.make_folder(args.out, '--out')
    if os.path.exists(train_dir):
        raise UsageError(f'{train_dir} is there: delete it, or give another --out')
    with tool.child(start(args, train_dir)) as process:
        seen = watch(process, args.steps, train_dir)
    if process.returncode or len(seen) < 8:
        raise Failure(
            f'train_loop.py ended with status {process.returncode} after {len(seen)} looks, see '
            f'{args.out}/output.txt'
        )
    draw(seen, os.path.join(args.out, 'soak.png'))
    found = slopes(seen)
    for name, value in found.items():
        print(f'slope {name} {value:.4f}')
    return 0 if found['memory_bytes'] <= args.limit else 1


if __name__ == '__main__':
    tool.run(main)
