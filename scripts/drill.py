#!/usr/bin/env python3
"""Fault drills: breaks trainings at random, then asks whether the same command still arrives.

    python scripts/drill.py --drills 200 --seed 1

Each drill trains a small network on the digits with the real command, breaks something (a kill, a
full disk, a flipped bit, ...), and starts the same command again. It has survived if that reaches
the weights of an undisturbed run, bit for bit, each step stands once in metrics.jsonl, and all that
failed said the right thing, without a traceback, a hang or a process left. What is drilled is
listed with --list. Drill N of a seed is always the same one. Exit status 0: none was lost.

A full disk and a read-only one are small tmpfs mounts; where mounting is not permitted, limits of
file sizes stand in for them. Linux only.
"""

import argparse
import collections
from concurrent import futures
import os
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from drills import drill as drills
from drills import file_kinds, process_kinds  # noqa: F401 they register kinds
from drills.kinds import KINDS
from drills.training import STEPS, Training

from mobilenet import flag_types
from scripts import tool

RUNNING = {}  # (number, kind): (since when, Drill)
TELL = 60.0  # seconds


def undisturbed(scratch, ranks):
    """({file: sha256} of the weights that every drill has to reach, bytes of a checkpoint)."""
    folder = os.path.join(scratch, f'undisturbed_{ranks}')
    os.makedirs(folder)
    training = Training(folder, ranks)
    status = training.finish()
    if status != 0:
        raise RuntimeError(f'the undisturbed run ended with {status}: {training.last_line()}')
    found = drills.checksums(folder, STEPS)
    return found, sum(os.path.getsize(os.path.join(folder, name)) for name in found)


def plan(args):
    """[(number, kind)]: every kind comes once before one comes again."""
    dice, numbers, order = random.Random(args.seed), range(1, args.first + args.drills), []
    while len(order) < len(numbers):
        order += dice.sample(args.kinds, len(args.kinds))
    return list(zip(numbers, order))[args.first - 1 :]


def run_one(scratch, number, name, seed, expected, halves):
    """(number, kind, seconds, [what is wrong])."""
    folder = os.path.join(scratch, f'drill_{number}')
    drill = drills.Drill(folder, f'{seed}/{number}', expected, KINDS[name].ranks, halves)
    started = time.monotonic()
    RUNNING[number, name] = started, drill
    for do in (lambda: KINDS[name](drill), drill.close):
        try:
            do()
        except Exception as error:  # a fault of the drill itself is no survival
            drill.wrong.append(f'{type(error).__name__}: {error}')
    del RUNNING[number, name]
    return number, name, time.monotonic() - started, drill.wrong


def ended(jobs):
    """The results of jobs as they end. Says every minute without one which drills are running."""
    waiting = set(jobs)
    while waiting:
        done, waiting = futures.wait(waiting, TELL, futures.FIRST_COMPLETED)
        yield from (job.result() for job in done)
        for (number, name), (since, _) in list(RUNNING.items()) if not done else []:
            print(f'drill {number:3d}  {name:16s} {time.monotonic() - since:6.1f} s  running')
        sys.stdout.flush()


def print_result(args, number, name, seconds, wrong):
    words = 'LOST: ' + '; '.join(wrong) if wrong else 'survived'
    print(f'drill {number:3d}  {name:16s} {seconds:6.1f} s  {words}', flush=True)
    if wrong:
        print(f'  again: drill.py --seed {args.seed} --first {number} --drills 1', end='')
        print(f' --kinds {",".join(args.kinds)}' if args.kinds != sorted(KINDS) else '')


def stop(jobs):
    """Ends the drills that run, and those that wait."""
    for job in jobs:
        job.cancel()
    for _, drill in list(RUNNING.values()):
        drill.stop()


def run(args, scratch):
    """Runs the drills and prints the table; gives how many were lost."""
    planned = plan(args)
    bases = sorted({KINDS[name].ranks for _, name in planned})
    survived, lost = collections.Counter(), collections.Counter()
    with futures.ThreadPoolExecutor(args.jobs) as pool:
        expected = dict(zip(bases, pool.map(lambda n: undisturbed(scratch, n), bases)))
        rest = args.seed, expected, drills.Halves(scratch)
        jobs = [pool.submit(run_one, scratch, n, k, *rest) for n, k in planned]
        try:
            for number, name, seconds, wrong in ended(jobs):
                (lost if wrong else survived)[name] += 1
                print_result(args, number, name, seconds, wrong)
        except BaseException:
            stop(jobs)
            raise
    print(f'\n{"kind":16s} drills  survived  lost')
    for name in args.kinds + ['all']:
        good, bad = [
            sum(count.values()) if name == 'all' else count[name] for count in (survived, lost)
        ]
        if good + bad:
            print(f'{name:16s} {good + bad:6d}  {good:8d}  {bad:4d}')
    return sum(lost.values())


def kinds(text):
    names = sorted(text.split(','))
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f'{unknown[0]!r} is none of {", ".join(sorted(KINDS))}')
    return names


def main():
    parser = flag_types.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--drills', type=flag_types.count(), default=20, help='how many, default 20'
    )
    parser.add_argument('--seed', type=int, default=0, help='of kinds and moments, default 0')
    parser.add_argument(
        '--first', type=flag_types.count(), default=1, help='number of the first one, default 1'
    )
    parser.add_argument('--kinds', type=kinds, default=sorted(KINDS), help='A,B; default all')
    parser.add_argument('--jobs', type=flag_types.count(), default=2, help='at once, default 2')
    parser.add_argument('--list', action='store_true', help='list the kinds and end')
    args = parser.parse_args()
    if args.list:
        for name in sorted(KINDS):
            print(f'{name:16s} {KINDS[name].__doc__}')
        return 0
    scratch, lost = tempfile.mkdtemp(prefix='drill_'), 0
    try:
        lost = run(args, scratch)
    finally:
        if not lost:
            shutil.rmtree(scratch)
    if lost:
        print('their folders are left in ' + scratch)
    return 1 if lost else 0


if __name__ == '__main__':
    tool.run(main)
