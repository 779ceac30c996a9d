#!/usr/bin/env python3
"""Times a training step over 2 ranks of 1 core each against 1 rank with 2 cores, with the same
images in all.

    python scripts/bench/bench_scaling.py      MobileNetV1 1.0 at 224, batch 2 x 16 against 32

Three processes, pinned to their cores: the one rank, and the two, which all-reduce their gradients
over gRPC. They are TrainingRuns as train_loop.py has them; the images are made once, so that no
input pipeline is in the figures. The two sides take turns, a few steps each, so that other load
meets them alike.
The last line is `ratio two_ranks_over_one VALUE`: images/s over images/s, medians over the turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import numpy as np

from hccl import launcher, ports


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model_name', default='mobilenet_v1')
    parser.add_argument(
        '--batch_size', type=int, default=32, help='images a step, over all ranks; default 32'
    )
    parser.add_argument('--image_size', type=int, default=224)
    parser.add_argument('--turns', type=int, default=7, help='turns of each side, default 7')
    parser.add_argument('--steps', type=int, default=3, help='steps in a turn, default 3')
    return parser.parse_args()


class OneBatch:
    """An input pipeline that gives one batch of noise again and again."""

    def __init__(self, rank, batch_size, image_size, num_classes):
        rng = np.random.RandomState(rank)
        images = rng.uniform(-1, 1, [batch_size, image_size, image_size, 3]).astype(np.float32)
        self._batch = images, rng.randint(0, num_classes, batch_size).astype(np.int32)

    def dataset(self, start_batch):
        import tensorflow as tf

        del start_batch
        return tf.data.Dataset.from_tensors(self._batch).repeat()

    def normalize(self, images):
        return images


def rank_main(args):
    """One rank: for each line `N` on stdin runs N steps and answers with a line."""
    import data
    from hccl import collectives
    from mobilenet import configuration, devices
    import train_loop

    rank, size, addresses = launcher.rank_of(os.environ)
    batch_size = args.batch_size // size
    dataset = data.open_dataset('synthetic', None, 'train')
    with tempfile.TemporaryDirectory() as train_dir:
        config = configuration.for_training(
            train_loop.parse(
                [
                    '--device=host',
                    '--dataset_name=synthetic',
                    f'--model_name={args.model_name}',
                    f'--image_size={args.image_size}',
                    f'--batch_size={batch_size}',
                    f'--train_dir={train_dir}',
                ]
            ),
            dataset,
            size,
        )
        devices.import_tensorflow()
        from mobilenet.run import TrainingRun

        run = TrainingRun(
            config,
            dataset,
            OneBatch(rank, batch_size, args.image_size, config.num_classes),
            devices.create(config, addresses, rank),
            collectives.create(config.device, rank, size, addresses),
            hooks=[],
        )
        with run.open() as sess:
            for line in sys.stdin:
                run.graph.loop.run(sess, int(line))
                print('ran', flush=True)
    sys.stdout.flush()
    os._exit(0)  # TensorFlow's servers do not end by themselves


class Side:
    """Ranks that run together. cores: the cores of each."""

    def __init__(self, name, cores):
        self.name, self.seconds = name, []
        addresses = [f'127.0.0.1:{port}' for port in ports.free_ports(len(cores))]
        self._ranks = [self._start(rank, mine, addresses) for rank, mine in enumerate(cores)]

    @staticmethod
    def _start(rank, cores, addresses):
        env = dict(
            os.environ,
            RANK_ID=str(rank),
            RANK_SIZE=str(len(addresses)),
            OMP_NUM_THREADS=str(len(cores)),
            MOBILENET_RANK_ADDRESSES=','.join(addresses),
            PYTHONWARNINGS='ignore',
        )
        return subprocess.Popen(
            [sys.executable] + sys.argv,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def turn(self, steps):
        """Runs so many steps on all ranks; gives the seconds a step took."""
        start = time.perf_counter()
        for rank in self._ranks:
            rank.stdin.write(f'{steps}\n')
            rank.stdin.flush()
        for rank in self._ranks:
            if rank.stdout.readline() != 'ran\n':
                raise SystemExit(f'{self.name}: a rank ended, with exit status {rank.wait()}')
        return (time.perf_counter() - start) / steps

    def end(self):
        for rank in self._ranks:
            rank.kill()
            rank.wait()


def main(args):
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit('bench_scaling.py: it takes two cores, this process may use one')
    sides = []
    try:
        sides += [
            Side('1 rank, 2 cores', [cores]),
            Side('2 ranks, 1 core each', [cores[:1], cores[1:]]),
        ]
        for side in sides:
            side.turn(args.steps)  # plans the graph
        for number in range(args.turns):
            for side in sides if number % 2 else sides[::-1]:
                side.seconds.append(side.turn(args.steps))
                print(
                    f'turn {number + 1}: {side.name:<22} {side.seconds[-1] * 1e3:7.1f} ms a step',
                    flush=True,
                )
    finally:
        for side in sides:
            side.end()
    one, two = [statistics.median(side.seconds) for side in sides]
    for side, median in zip(sides, (one, two)):
        print(
            f'{side.name:<22} {median * 1e3:7.1f} ms a step, '
            f'{args.batch_size / median:6.2f} images/s'
        )
    print(f'ratio two_ranks_over_one {one / two:.3f}')


if __name__ == '__main__':
    arguments = parse()
    if launcher.is_rank(os.environ):
        rank_main(arguments)
    else:
        main(arguments)
