#!/usr/bin/env python3
"""Times the forward pass of an evaluation against the same network elsewhere.

    python scripts/bench/bench_eval.py --peers torch,torch_compile,tf2,slim,slim_stock

One batch that stays in memory: no input pipeline is in the figures. Each side is a process of its
own; they take turns, one warm-up, and the figure is the median over the turns. The last lines are
`ratio eval_over_PEER VALUE` (images/s) and `ratio memory_over_PEER VALUE`. Peers' environments are
set up on request, in the user's cache.
"""

import argparse
import sys

import environments
import turns

PROGRAMS = {
    'torch': ('pytorch.py', 'forward'),
    'torch_compile': ('pytorch.py', 'forward_compiled'),
    'tf2': ('tensorflow2.py', 'forward'),
    'slim': ('contrib_slim.py', 'forward'),
    'slim_stock': ('contrib_slim.py', 'forward'),
}


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--batch_size', type=int, default=64)
    parser.add_argument('--image_size', type=int, default=224)
    parser.add_argument('--turns', type=int, default=5, help='turns of each side, default 5')
    parser.add_argument('--steps', type=int, default=4, help='batches in a turn, default 4')
    environments.add_peers_flag(parser)
    args = parser.parse_args()
    environments.check_peers(parser, args.peers)
    return args


def main():
    args = parse()
    interpreters = {peer: environments.python(peer) for peer in args.peers}
    sizes = ['--batch_size', args.batch_size, '--image_size', args.image_size]
    sides = [turns.Side('ours', sys.executable, 'ours.py', 'forward', *sizes)]
    for peer in args.peers:
        sides.append(turns.Side(peer, interpreters[peer], *PROGRAMS[peer], *sizes))
    turns.take_turns(sides, args.turns, args.steps)
    for side in sides:
        print(
            f'{side.name:<14} {args.batch_size / side.median:7.2f} images/s  {side.peak:6.0f} MiB'
        )
    for side in sides[1:]:
        turns.ratio(f'eval_over_{side.name}', side.median / sides[0].median)
        turns.ratio(f'memory_over_{side.name}', sides[0].peak / side.peak)


if __name__ == '__main__':
    main()
