"""What the debugging flags ask for, put together: before the device is made, and when the session is open."""

import os
import sys

from mobilenet import checkpoints, nets
from mobilenet.debug import dumps, observers
from mobilenet.debug.debugger import Debugger
from mobilenet.debug.names import Names
from mobilenet.debug.replay import Replay
from mobilenet.debug.stepper import Stepper, Tools


class Debugging:
    """One rank's. Make it before the device: on an NPU --dump_steps also sets the device's own dump."""

    def __init__(self, args, rank, world_size):
        self._args, self._main = args, rank == 0
        of_rank = f'rank_{rank}' if world_size > 1 else ''
        self._dump_dir = os.path.join(
            args.dump_dir or os.path.join(args.train_dir, 'dumps'), of_rank
        )
        self._script = open_script(args.step_script) if args.step else None
        if args.dump_steps and args.device == 'npu':
            set_device_dump(args, os.path.join(self._dump_dir, 'device'))

    def attach(self, sess, graph, reporter, **tools):
        """The Debugger of an open session. tools: what a Stepper's Tools have."""
        args, names = self._args, Names(graph.step, nets.scope_name(self._args.model_name))
        inspection = Replay(sess, graph, names, keep=args.step)
        stepper = (
            Stepper(inspection, Tools(train_dir=args.train_dir, **tools), self._script)
            if args.step
            else None
        )
        return Debugger(inspection, list(self._observers(names, reporter)), stepper)

    def _observers(self, names, reporter):
        args = self._args
        if args.dump_steps:
            patterns = args.dump_tensors.split(',') if args.dump_tensors else dumps.DEFAULT_PATTERNS
            yield observers.Dump(
                observers.Ranges(args.dump_steps), names, patterns, self._dump_dir, reporter.say
            )
        if args.profile_steps and self._main:
            yield observers.Profile(
                observers.Ranges(args.profile_steps),
                os.path.join(args.train_dir, 'profile'),
                reporter.say,
            )
        # All ranks cut their loops alike: the steps of a loop meet those of the other ranks.
        for every, observer in (
            (args.norms_every_steps, observers.Norms),
            (args.histograms_every_steps, observers.Histograms),
        ):
            if every:
                yield observer(
                    observers.Every(every), names, reporter.events if self._main else None
                )


def open_script(path):
    """The text file that the commands come from, or None: the terminal, or what is piped in."""
    if path is None:
        return None if sys.stdin.isatty() else sys.stdin
    return sys.stdin if path == '-' else open(path)


def set_device_dump(args, folder):
    """--dump_steps as the device's own dump too, unless --npu_enable_dump says otherwise. It counts from the process's first step."""
    if args.npu_enable_dump is not None or args.npu_enable_dump_debug is not None:
        return
    latest = checkpoints.latest(args.train_dir)
    done = checkpoints.batches_of(latest) if latest else 0
    steps = [(first - done, last - done) for first, last in args.dump_steps if last >= done]
    if not steps:
        return
    os.makedirs(folder, exist_ok=True)
    args.npu_enable_dump, args.npu_dump_path, args.npu_dump_mode = (
        'true',
        folder,
        args.npu_dump_mode or 'output',
    )
    args.npu_dump_step = '|'.join(f'{max(a, 0)}-{b}' if max(a, 0) < b else str(b) for a, b in steps)
