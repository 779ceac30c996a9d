#!/usr/bin/env python3
"""Times a training step over 1, 2 and 4 ranks that share this machine's cores, with the same images
in all; and over Horovod.

    python scripts/bench/bench_scaling.py --peers horovod      MobileNetV1 1.0 at 224, 32 images

The ranks are TrainingRuns as train_loop.py has them, pinned to their shares of the cores, over
TensorFlow's collectives; Horovod's are the same graph with its all-reduce over gloo. Images are
made once: no input pipeline is in the figures. The sides take turns, a few steps each. The last
lines are `ratio NAME VALUE`: images/s over images/s, medians over the turns.

Before them come the figures that scripts/scaling_model.py --measured predicts from: ranks alone (as
many as there are cores, a core each, at once), and bare all-reduces of two ranks.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import environments
import turns

from hccl import ports
from hccl.cores import assign_cores
from mobilenet import flag_types
from scripts import tool

PEERS = ('horovod',)


def parse():
    parser = flag_types.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model_name', default='mobilenet_v1')
    parser.add_argument(
        '--batch_size',
        type=flag_types.count(),
        default=32,
        help='images a step, over all ranks; default 32',
    )
    parser.add_argument('--image_size', type=flag_types.count(), default=224)
    parser.add_argument(
        '--ranks', type=_counts, default=[1, 2, 4], help='how many, from 1 on; default 1,2,4'
    )
    turns.add_turns_flag(parser, 7)
    turns.add_steps_flag(parser, 3)
    environments.add_peers_flag(parser, PEERS)
    args = parser.parse_args()
    if args.ranks[0] != 1 or any(args.batch_size % n for n in args.ranks):
        parser.error('--ranks begins with 1, and divides --batch_size')
    return args


def _counts(text):
    return sorted({int(part) for part in text.split(',')})


class Bench:
    """Starts the sides. cores: the two that ranks of this benchmark use."""

    def __init__(self, args, cores, horovod):
        self.args, self.cores, self._horovod = args, cores, horovod
        self._meetings = []

    def ranks(self, name, mode, count, batch_size):
        """The Ranks of one run; modes: see peers/rank.py."""
        env = self._environments(mode, count)
        interpreter = self._horovod if mode == 'horovod' else sys.executable
        sizes = ['--model_name', self.args.model_name, '--image_size', self.args.image_size]
        sizes += ['--batch_size', batch_size]
        shares = assign_cores('auto', count, self.cores)
        started = [
            turns.Side(
                f'{name}, rank {rank}',
                interpreter,
                'rank.py',
                mode,
                *sizes,
                env=dict(env[rank], OMP_NUM_THREADS=str(len(shares[rank]))),
                cores=shares[rank],
                pausing=mode == 'horovod',
            )
            for rank in range(count)
        ]
        return turns.Ranks(name, started)

    def _environments(self, mode, count):
        if mode == 'horovod':
            meeting = turns.Side('Horovod', self._horovod, 'horovod_meeting.py', count)
            self._meetings.append(meeting)
            port = int(meeting.receive())
            return [horovod_rank(rank, count, port) for rank in range(count)]
        addresses = ','.join(f'127.0.0.1:{port}' for port in ports.free_ports(count))
        common = {'RANK_SIZE': str(count), 'MOBILENET_RANK_ADDRESSES': addresses}
        return [dict(common, RANK_ID=str(rank)) for rank in range(count)]

    def end(self):
        for meeting in self._meetings:
            meeting.end()


def horovod_rank(rank, size, port):
    """The variables that horovodrun sets for a rank on this machine."""
    place = {'RANK': rank, 'SIZE': size, 'LOCAL_RANK': rank, 'LOCAL_SIZE': size}
    place.update(CROSS_RANK=0, CROSS_SIZE=1, HOSTNAME='localhost')
    place.update(GLOO_RENDEZVOUS_ADDR='127.0.0.1', GLOO_RENDEZVOUS_PORT=port, GLOO_IFACE='lo')
    place.update(CONTROLLER='gloo', CPU_OPERATIONS='gloo', GLOO_TIMEOUT_SECONDS=3600)
    return {f'HOROVOD_{name}': str(value) for name, value in place.items()}


def compare(bench):
    """The sides over ranks, in turns: prints their rows, ratios and figures."""
    args = bench.args
    sides = {}
    for count in args.ranks:
        sides[count] = bench.ranks(f'ranks_{count}', 'ours', count, args.batch_size // count)
    for count in args.ranks[1:] if args.peers else []:
        name = f'horovod_{count}'
        sides[name] = bench.ranks(name, 'horovod', count, args.batch_size // count)
    turns.take_turns(list(sides.values()), args.turns, args.steps)
    for side in sides.values():
        print(
            f'{side.name:<12} {side.median * 1e3:7.1f} ms a step  '
            f'{args.batch_size / side.median:6.2f} images/s'
        )
    words = {2: 'two', 4: 'four'}
    for count in args.ranks[1:]:
        print(f'figure ranks_{count}_step_seconds {sides[count].median:.4f}')
    for count in args.ranks[1:]:
        name = f'{words.get(count, count)}_ranks_over'
        turns.ratio(f'{name}_one', sides[1].median / sides[count].median)
        if args.peers:
            turns.ratio(f'{name}_horovod', sides[f'horovod_{count}'].median / sides[count].median)


def measure(bench):
    """What the model predicts from: prints `figure NAME VALUE` lines."""
    args, count = bench.args, len(bench.cores)
    alone = [
        bench.ranks(f'alone, batch {batch}', 'alone', count, batch)
        for batch in (args.batch_size // 2, args.batch_size // 4)
    ]
    turns.take_turns(alone, args.turns, args.steps)
    reductions = [bench.ranks(mode, mode, 2, 1) for mode in ('allreduce', 'message')]
    size = reductions[0].ask('bytes')
    turns.take_turns(reductions, args.turns, 10)
    figures = {
        'cores': count,
        'batch_size': args.batch_size,
        'rank_step_seconds': alone[0].median,
        'half_batch_step_seconds': alone[1].median,
        'gradient_bytes': size,
        'allreduce_seconds': reductions[0].median,
        'small_allreduce_seconds': reductions[1].median,
    }
    for name, value in figures.items():
        print(f'figure {name} {value:.5g}' if value < 1e4 else f'figure {name} {value:.0f}')


def main():
    args = parse()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit('bench_scaling.py: it takes two cores, this process may use one')
    horovod = environments.python('horovod') if args.peers else None
    bench = Bench(args, cores, horovod)
    try:
        measure(bench)
        compare(bench)
    finally:
        bench.end()


if __name__ == '__main__':
    tool.run(main)
