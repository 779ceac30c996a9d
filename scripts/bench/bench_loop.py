#!/usr/bin/env python3
"""What train_loop.py's loop costs: a tiny network against contrib.slim, sunk against not, and the
whole command against the bare step.

    python scripts/bench/bench_loop.py --peers slim

The tiny network (mobilenet_v1_025 at 32, batch 8) is nearly all calls of ops. `full` is the whole
step, sunk; `single` the same, a session.run a step; slim makes the step of TF-slim's training
script, with its EMA. At 224 `command` is the step with all of train_loop.py's hooks (bar,
metrics.jsonl, TensorBoard, checkpoints), `bare` is forward, backward, momentum, in the same
process, and `checkpoint` is what writing one takes, on the disk of the temporary folder. The sides
take turns; figures are medians. The last lines are `ratio NAME VALUE`; tiny_over_slim and
sunk_over_single in steps/s, full_over_bare and checkpoint_over_1000_steps (of --save_every_steps)
in seconds.
"""

import argparse
import sys

import environments
import turns

from mobilenet import flag_types
from scripts import tool

PEERS = ('slim', 'slim_stock')
TINY = ['--model_name', 'mobilenet_v1_025', '--image_size', 32, '--batch_size', 8]


def parse():
    parser = flag_types.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    turns.add_turns_flag(parser)
    parser.add_argument(
        '--batch_size', type=flag_types.count(), default=32, help='of the steps at 224, default 32'
    )
    environments.add_peers_flag(parser, PEERS)
    return parser.parse_args()


def report(sides, unit, scale):
    for side in sides:
        print(f'{side.name:<12} {scale / side.median:8.2f} {unit}', flush=True)


def main():
    args = parse()
    interpreters = {peer: environments.python(peer) for peer in args.peers}
    tiny = [turns.Side(mode, sys.executable, 'ours.py', mode, *TINY) for mode in ('full', 'single')]
    for peer in args.peers:
        tiny.append(turns.Side(peer, interpreters[peer], 'contrib_slim.py', 'train', *TINY))
    turns.take_turns(tiny, args.turns, 50)
    sizes = ['--batch_size', args.batch_size]
    command = turns.Side('command', sys.executable, 'ours.py', 'command', *sizes)
    bare = turns.Part('bare', command)
    checkpoint = turns.Side('checkpoint', sys.executable, 'ours.py', 'checkpoint', *sizes)
    turns.take_turns(
        [command, bare, checkpoint], args.turns, {'command': 10, 'bare': 10, 'checkpoint': 1}
    )
    report(tiny, 'steps/s', 1)
    full, single, *slims = tiny
    report([command, bare], 'images/s', args.batch_size)
    print(f'checkpoint   {checkpoint.median * 1e3:8.1f} ms')
    turns.ratio('sunk_over_single', single.median / full.median)
    for side in slims:
        turns.ratio(f'tiny_over_{side.name}', side.median / full.median)
    turns.ratio('full_over_bare', command.median / bare.median)
    turns.ratio('checkpoint_over_1000_steps', checkpoint.median / (1000 * command.median))


if __name__ == '__main__':
    tool.run(main)
