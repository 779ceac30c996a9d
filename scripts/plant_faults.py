#!/usr/bin/env python3
"""Plants a fault in one layer of a copy of this project at a time, and asks parity.py and
compare_dumps.py for it.

    python scripts/plant_faults.py                      # 10 layers of MobileNetV1, two faults in
    each python scripts/plant_faults.py --layers Conv2d_0,Conv2d_7_depthwise

The faults: a gamma times 1.01; a rounding to float16 before the batch norm. Both commands have to
name the layer first, and to show the planted line among the ops before it. The copy is trained for
a step on the digits, against this code. Exit status: 0 all were found, 1 one was not, 2 wrong use.
"""

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mobilenet import flag_types
from mobilenet.errors import UsageError
from scripts import tool

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYERS = ['Conv2d_0'] + [
    f'Conv2d_{i}_{kind}' for i in range(1, 14) for kind in ('depthwise', 'pointwise')
]
RUN = [
    '--dataset_name=digits',
    '--preprocessing_name=none',
    '--image_size=32',
    '--batch_size=8',
    '--model_name=mobilenet_v1_025',
    '--learning_rate=0.05',
    '--warmup_epochs=0',
]
# name: (a line of layers.py, what follows it in the copy).
FAULTS = {
    'gamma times 1.01': (
        "        gamma = tf.get_variable('gamma', [channels], initializer=ones)\n",
        "        gamma = gamma * 1.01 if '{layer}/' in tf.get_variable_scope().name else gamma\n",
    ),
    'float16': (
        '    ones, zeros =',
        '    half = tf.cast(inputs, tf.float16)\n'
        "    planted = '/{layer}' == tf.get_variable_scope().name[-{length}:]\n"
        '    inputs = tf.cast(half, tf.float32) if planted else inputs\n'
        '    ones, zeros =',
    ),
}


def parse():
    parser = flag_types.Parser(prog='plant_faults.py', description=__doc__.split('\n')[0])
    parser.add_argument(
        '--layers', help='names with commas, or all; default 10 of them, from the first to the last'
    )
    args = parser.parse_args()
    if args.layers is None:
        args.layers = [LAYERS[round(i * (len(LAYERS) - 1) / 9)] for i in range(10)]
    else:
        args.layers = LAYERS if args.layers == 'all' else args.layers.split(',')
    for layer in args.layers:
        if layer not in LAYERS:
            raise UsageError(
                f'{layer}: no such layer; they are Conv2d_0, Conv2d_1_depthwise, … '
                'Conv2d_13_pointwise'
            )
    return args


def plant(tree, layer, fault):
    """A copy of the project with the fault in it; gives the number of the planted line."""
    for name in ('mobilenet', 'data', 'hccl'):
        shutil.rmtree(os.path.join(tree, name), ignore_errors=True)
        shutil.copytree(os.path.join(ROOT, name), os.path.join(tree, name))
    shutil.copy(os.path.join(ROOT, 'train_loop.py'), tree)
    path = os.path.join(tree, 'mobilenet', 'nets', 'layers.py')
    with open(path) as f:
        source = f.read()
    anchor, planted = FAULTS[fault]
    planted = planted.format(layer=layer, length=len(layer) + 1)
    if source.count(anchor) != 1:
        raise RuntimeError(f'layers.py has changed: no place for the fault {fault!r}')
    changed = source.replace(anchor, anchor + planted if fault.startswith('gamma') else planted)
    with open(path, 'w') as f:
        f.write(changed)
    return 1 + next(
        i for i, (a, b) in enumerate(zip(source.splitlines(), changed.splitlines())) if a != b
    )


def output_of(*argv):
    """(exit status, stdout) of a command of this project."""
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, 'scripts', argv[0])] + list(argv[1:]),
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 3):
        said = done.stderr.strip().splitlines()
        raise RuntimeError(said[-1] if said else f'{argv[0]}: status {done.returncode}')
    return done.returncode, done.stdout


def found(text, layer, line):
    """Whether a command's output names the layer first and shows the planted line."""
    first = text.splitlines()[0]
    return (
        first.startswith(f'first to differ: act:{layer},')
        and f'mobilenet/nets/layers.py:{line} ' in text
    )


def main():
    args = parse()
    right = total = 0
    with tempfile.TemporaryDirectory() as folder:
        parity = ['parity.py', '--steps=1', '--out=' + folder, '--overwrite', '--keep=all'] + RUN
        status, text = output_of(*parity, '--a=host', '--b=host')
        if status:
            raise RuntimeError(f'two runs of this code differ: {text.splitlines()[0]}')
        for fault in FAULTS:
            for layer in args.layers:
                tree = os.path.join(folder, 'tree')
                line = plant(tree, layer, fault)
                _, by_parity = output_of(
                    *parity, '--a=' + os.path.join(folder, 'a'), '--b=host', '--tree_b=' + tree
                )
                _, by_dumps = output_of(
                    'compare_dumps.py',
                    os.path.join(folder, 'a', 'dumps'),
                    os.path.join(folder, 'b', 'dumps'),
                )
                verdicts = [found(text, layer, line) for text in (by_parity, by_dumps)]
                right, total = right + all(verdicts), total + 1
                print(
                    '{:<18}{:<22}{}'.format(
                        fault,
                        layer,
                        'named first, with its line'
                        if all(verdicts)
                        else 'NOT FOUND: ' + by_parity.splitlines()[0],
                    ),
                    flush=True,
                )
    print(f'{right} of {total} faults named first by parity.py and compare_dumps.py')
    return 0 if right == total else 1


if __name__ == '__main__':
    tool.run(main)
