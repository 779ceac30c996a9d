#!/usr/bin/env python3
"""Kills ranks of running trainings with kill -9; nothing may be left but a run that goes on.

    python scripts/kill_ranks.py                             20 kills over 2 ranks, on the digits
    python scripts/kill_ranks.py --times 500 --ranks 8 --seed 7

Each time a training of --ranks ranks starts, or goes on, and a rank drawn by lot is killed at a
moment drawn by lot: from the first instant of its process, which may be before TensorFlow is
loaded, to some seconds into its steps. Then
 - the launcher must end with exit status 1 and a last line that names the rank,
 - no process of the training may be left, both within 10 seconds,
 - the next start must go on from the newest checkpoint; after the last kill, a start that nobody
   disturbs must finish.
Prints a line a kill and a summary. Exit status 0: all of it held; 1: it did not, and the run's
folder is kept.
"""

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from drills.processes import marked
from drills.training import Training as DrillTraining

from mobilenet import flag_types
from scripts import tool

LIMIT = 10.0  # seconds from the kill to the end of everything
INTO_TRAINING = 3.0  # seconds after the first step within which a kill may fall
FLAGS = ['--iterations_per_loop=1', '--save_every_steps=5', '--moving_average_decay=0']


class Training(DrillTraining):
    """A training over ranks, started in `folder`, where one may have been killed before."""

    def __init__(self, folder, ranks, max_train_steps=10**9):
        self.newest, self._started = newest_checkpoint(folder), time.time()
        table = f'--rank_table=hccl_{ranks}p.json'
        super().__init__(folder, flags=[table, f'--max_train_steps={max_train_steps}'] + FLAGS)

    def is_training(self):
        """Whether a step of this start has been reported."""
        return self.last_metrics().get('time', 0) > self._started

    def ended_by_itself(self):
        self.end()  # all it said is read by then
        return RuntimeError('the training ended by itself: ' + self.last_line())

    def resumed_from(self):
        """Step of the checkpoint it says it goes on from; 0: new weights; None: it did not come
        that far."""
        said = re.search(
            r'steps, batch .*, from (new weights|.*model\.ckpt-(\d+))$', self.stderr(), re.M
        )
        return int(said.group(2) or 0) if said else None


def newest_checkpoint(folder):
    """Step of the newest checkpoint; 0 where there is none yet. An index is put there last."""
    found = [re.match(r'model\.ckpt-(\d+)\.index$', name) for name in os.listdir(folder)]
    return max([int(match.group(1)) for match in found if match], default=0)


def wrong_resume(training):
    """What is wrong about the place it went on from, as a list of texts."""
    step = training.resumed_from()
    if step is None or step == training.newest:
        return []
    return [f'went on from step {step}, the newest checkpoint was of step {training.newest}']


def kill_once(folder, ranks, rank, delay):
    """Kills `rank` after `delay` seconds of its life; delay None: right after the first step.

    Returns (seconds of its life, whether it was training, seconds to the end or None, [what is
    wrong], Training).
    """
    training = Training(folder, ranks)
    try:
        pid = training.rank_process(rank)
        if pid is None:
            raise training.ended_by_itself()
        born = time.time()
        if delay is None:
            training.wait_for_step(1)
            if not training.is_training():
                raise training.ended_by_itself()
        else:
            time.sleep(delay)
        was_training = training.is_training()
        wrong = (
            ['it had ended before, with: ' + training.last_line()]
            if training.process.poll() is not None
            else []
        )
        lived = time.time() - born
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            wrong.append(f'rank {rank} was gone before the kill')
        ended = training.wait_until_gone(LIMIT)
        if ended is None:
            wrong.append(f'left after {LIMIT:g} s: processes {sorted(marked(training.mark))}')
        status = training.process.poll()
        training.end()  # all it said is read by then
        if status != 1:
            wrong.append(f'exit status {status}')
        if not re.search(rf'\brank {rank} failed with signal SIGKILL', training.last_line()):
            wrong.append('the last line is: ' + training.last_line())
        return lived, was_training, ended, wrong + wrong_resume(training), training
    finally:
        training.end()


def finish(folder, ranks):
    """Lets the run go on to its end, 10 steps after its newest checkpoint; gives what is wrong."""
    last = newest_checkpoint(folder) + 10
    training = Training(folder, ranks, last)
    try:
        status = training.finish()
        wrong = wrong_resume(training)
        if status or newest_checkpoint(folder) != last or training.resumed_from() is None:
            wrong.append(
                f'the last start, to step {last}: exit status {status}, {training.last_line()}'
            )
        return wrong
    finally:
        training.end()


def run(args, folder):
    """Kills and reports; gives the number of kills after which something was wrong."""
    dice = random.Random(args.seed)
    startup, failures, in_training, longest = None, 0, 0, 0.0
    for number in range(1, args.times + 1):
        rank = dice.randrange(args.ranks)
        share = dice.random()
        delay = None if startup is None else share * (startup + INTO_TRAINING)
        lived, was_training, ended, wrong, training = kill_once(folder, args.ranks, rank, delay)
        startup = startup or lived
        in_training += was_training
        longest = max(longest, ended or LIMIT)
        failures += bool(wrong)
        resumed = training.resumed_from()
        doing = 'training' if was_training else 'starting'
        gone = 'time' if ended is None else f'{ended:.1f} s'
        began = f'checkpoint of step {training.newest}'
        if resumed is not None:
            began = f'began at step {resumed}'
        print(
            f'kill {number} of {args.times}: rank {rank} after {lived:.2f} s, {doing}; gone in '
            f'{gone}; {began}' + ('; WRONG: ' + '; '.join(wrong) if wrong else ''),
            flush=True,
        )
    wrong = finish(folder, args.ranks)
    failures += bool(wrong)
    for text in wrong:
        print('WRONG: ' + text)
    print(
        f'{args.times} kills over {args.ranks} ranks: {failures} failures; '
        f'{args.times - in_training} while starting, {in_training} while training; all gone after '
        f'{longest:.1f} s at most; finished at step {newest_checkpoint(folder)}',
        flush=True,
    )
    return failures


def main():
    parser = flag_types.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--times', type=flag_types.count(), default=20, help='kills, default 20')
    parser.add_argument('--ranks', type=int, default=2, choices=(1, 2, 4, 8), help='default 2')
    parser.add_argument('--seed', type=int, default=0, help='of the ranks and moments, default 0')
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix='kill_ranks_')
    failures = 1
    try:
        failures = run(args, folder)
    finally:
        if failures:
            print('the run is left in ' + folder, file=sys.stderr)
        else:
            shutil.rmtree(folder)
    return 1 if failures else 0


if __name__ == '__main__':
    tool.run(main)
