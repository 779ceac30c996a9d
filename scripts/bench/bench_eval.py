#!/usr/bin/env python3
"""Times the evaluation of a folder of photographs, decoding included, against the same network
elsewhere.

    python scripts/bench/bench_eval.py --peers torch,torch_compile,tf2,slim,slim_stock

The photographs, 500x375 JPEGs of 72 kB, are made in a temporary folder. Each side is a process of
its own with its usual pipeline: ours eval_loop.py's, torch a DataLoader with two workers and
Pillow, the others tf.data. They take turns, stopped in between, so that none
reads ahead in the time of another; one warm-up, and the figure is the median over the turns. The
last lines are `ratio eval_over_PEER VALUE` (images/s) and `ratio memory_over_PEER VALUE` (of the
main process). Peers' environments are set up on request, in the user's cache.
"""

import argparse
import os
import sys
import tempfile

import environments
import photographs
import turns

from mobilenet import flag_types
from scripts import tool

CLASSES, DISTINCT, FILES = 8, 64, 2048
PROGRAMS = {
    'torch': ('pytorch.py', 'pipeline'),
    'torch_compile': ('pytorch.py', 'pipeline_compiled'),
    'tf2': ('tensorflow2.py', 'pipeline'),
    'slim': ('contrib_slim.py', 'pipeline'),
    'slim_stock': ('contrib_slim.py', 'pipeline'),
}


def parse():
    parser = flag_types.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    turns.add_size_flags(parser, batch_size=64)
    turns.add_turns_flag(parser)
    turns.add_steps_flag(parser, 8, 'batches')
    environments.add_peers_flag(parser)
    return parser.parse_args()


def write_folder(folder):
    """FILES photographs of CLASSES classes to evaluate (links to DISTINCT ones)."""
    images = photographs.encoded(DISTINCT)
    for split, count in (('train', CLASSES), ('validation', FILES)):
        for i in range(count):
            place = os.path.join(folder, split, f'class_{i % CLASSES}')
            os.makedirs(place, exist_ok=True)
            path = os.path.join(place, f'{i:05}.jpg')
            if i < DISTINCT:
                with open(path, 'wb') as file:
                    file.write(images[i])
            else:
                first = i % DISTINCT
                os.link(
                    os.path.join(folder, split, f'class_{first % CLASSES}', f'{first:05}.jpg'), path
                )


def time_sides(args, interpreters, folder):
    """The sides, each with its turns."""
    sizes = ['--batch_size', args.batch_size, '--image_size', args.image_size, '--images', folder]
    sides = [turns.Side('ours', sys.executable, 'ours_eval.py', 'pipeline', *sizes, pausing=True)]
    for peer in args.peers:
        sides.append(turns.Side(peer, interpreters[peer], *PROGRAMS[peer], *sizes, pausing=True))
    turns.take_turns(sides, args.turns, args.steps)
    return sides


def main():
    args = parse()
    interpreters = {peer: environments.python(peer) for peer in args.peers}
    with tempfile.TemporaryDirectory() as folder:
        write_folder(folder)
        sides = time_sides(args, interpreters, folder)
    for side in sides:
        print(
            f'{side.name:<14} {args.batch_size / side.median:7.2f} images/s  {side.peak:6.0f} MiB'
        )
    for side in sides[1:]:
        turns.ratio(f'eval_over_{side.name}', side.median / sides[0].median)
        turns.ratio(f'memory_over_{side.name}', sides[0].peak / side.peak)


if __name__ == '__main__':
    tool.run(main)
