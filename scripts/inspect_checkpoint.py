#!/usr/bin/env python3
"""Lists the weights in a checkpoint, frozen graph or SavedModel, and which network they fit.

    python scripts/inspect_checkpoint.py results/train
    python scripts/inspect_checkpoint.py --all mobilenet_v1_1.0_224.ckpt

Status 0: they fit a network whole, or but for its last layer; 1: they fit none, what differs is
listed.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mobilenet import devices, flag_types
from scripts import tool


def make_parser():
    parser = flag_types.Parser(
        prog='inspect_checkpoint.py', description=__doc__.split('\n\n')[0], allow_abbrev=False
    )
    parser.add_argument(
        'path', help='a checkpoint, a folder (its newest checkpoint), a .pb file or a SavedModel'
    )
    parser.add_argument(
        '--all',
        action='store_true',
        help='every tensor in it, not only the weights and statistics of the network',
    )
    return parser


def main():
    args = make_parser().parse_args()
    devices.import_tensorflow()
    from mobilenet import weights
    from mobilenet.weights import networks

    opened = weights.open_weights(weights.locate(args.path, flag=None))
    fit = networks.identify(opened)
    print(heading(opened, fit))
    scope, prefix = networks.scope_of(opened.shapes)
    network = networks.variables_in(opened.shapes, prefix, scope) if scope else {}
    shown = {prefix + name: shape for name, shape in network.items()}
    print(summary(opened, shown))
    print_table(opened, opened.shapes if args.all or not scope else shown)
    if fit.model_name:
        return 0
    print(f'\nfits no network here; nearest: {fit.nearest or "none"}')
    for difference in fit.differences:
        print(f'  {difference}')
    return 1


def heading(opened, fit):
    """The line that says what it is."""
    what = opened.kind if opened.step is None else f'{opened.kind} of step {opened.step}'
    if not fit.model_name:
        return f'{opened.path}: {what}, no network of ours'
    classes = f'{fit.num_classes} classes' if fit.num_classes else 'without its last layer'
    notes = [classes]
    if fit.prefix:
        notes.append(f'names begin with {fit.prefix}')
    if fit.folded:
        notes.append('batch norm folded into the weights')
    notes.append('with averages (EMA)' if opened.has_averages else 'no averages (EMA)')
    return f'{opened.path}: {what}, --model_name={fit.model_name}, {", ".join(notes)}'


def summary(opened, network):
    others = len(opened.shapes) - len(network)
    more = f'; {others} other tensors (averages, slots of an optimizer, counters)' if others else ''
    return f'{len(network)} tensors of the network, {count(network):,} numbers{more}\n'


def count(shapes):
    total = 0
    for shape in shapes.values():
        numbers = 1
        for size in shape:
            numbers *= size
        total += numbers
    return total


def print_table(opened, shapes):
    from mobilenet.moving_averages import EMA_SUFFIX
    from mobilenet.weights import networks

    width = max([len(name) for name in shapes] + [0])
    for name, shape in sorted(shapes.items(), key=lambda item: natural(item[0])):
        average = '  EMA' if name + EMA_SUFFIX in opened.shapes else ''
        print(
            f'{name:{width}}  {networks.in_words(shape):>14}  {count({name: shape}):>9,}{average}'
        )


def natural(name):
    """Conv2d_2 before Conv2d_10."""
    import re

    return [int(p) if p.isdigit() else p for p in re.split('([0-9]+)', name)]


if __name__ == '__main__':
    tool.run(main)
