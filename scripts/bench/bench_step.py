#!/usr/bin/env python3
"""Times a whole training step against its own limit and against the same network elsewhere.

    python scripts/bench/bench_step.py --peers torch,torch_compile,tf2,slim,slim_stock
    python scripts/bench/bench_step.py --model_name mobilenet_v3_large --peers tf2,slim

Ours is train_loop.py's step with all it has on by default (weight decay, EMA, dynamic loss scale,
finite check, batch norm statistics), sunk, over one batch that stays in memory; `relu` is the bare
step (forward, backward, momentum) with plain relu's gradient in place of relu6's: the limit. Each
is a process of its own; they take turns, one warm-up, then a few steps a turn, and the figure is
the median over the turns. The last lines are `ratio NAME VALUE`: ours_over_PEER in images/s,
memory_over_PEER in peak memory. Environments of peers are set up on request, in the user's cache.
"""

import argparse
import sys

import environments
import turns

from mobilenet import flag_types
from scripts import tool

PROGRAMS = {
    'torch': ('pytorch.py', 'train'),
    'torch_compile': ('pytorch.py', 'train_compiled'),
    'tf2': ('tensorflow2.py', 'train'),
    'slim': ('contrib_slim.py', 'train'),
    'slim_stock': ('contrib_slim.py', 'train'),
}


def parse():
    parser = flag_types.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--model_name',
        default='mobilenet_v1',
        choices=('mobilenet_v1', 'mobilenet_v2', 'mobilenet_v3_large'),
    )
    turns.add_size_flags(parser, batch_size=32)
    turns.add_turns_flag(parser)
    turns.add_steps_flag(parser, 3)
    environments.add_peers_flag(parser)
    args = parser.parse_args()
    for peer in args.peers:
        if peer.startswith('torch') and args.model_name != 'mobilenet_v1':
            parser.error(f'--peers: {peer} has mobilenet_v1 alone')
    return args


def main():
    args = parse()
    interpreters = {peer: environments.python(peer) for peer in args.peers}
    sizes = ['--model_name', args.model_name, '--batch_size', args.batch_size]
    sizes += ['--image_size', args.image_size]
    sides = [
        turns.Side('ours', sys.executable, 'ours.py', 'full', *sizes),
        turns.Side('relu', sys.executable, 'ours.py', 'relu', *sizes),
    ]
    for peer in args.peers:
        sides.append(turns.Side(peer, interpreters[peer], *PROGRAMS[peer], *sizes))
    turns.take_turns(sides, args.turns, args.steps)
    for side in sides:
        print(
            f'{args.model_name} {side.name:<14} {args.batch_size / side.median:7.2f} images/s  '
            f'{side.peak:6.0f} MiB'
        )
    ours = sides[0]
    for side in sides[1:]:
        turns.ratio(f'ours_over_{side.name}', side.median / ours.median)
        turns.ratio(f'memory_over_{side.name}', ours.peak / side.peak)


if __name__ == '__main__':
    tool.run(main)
