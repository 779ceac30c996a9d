"""What the debugging flags ask for, attached to a run."""

import io
import os
import sys

from tensorflow.core.protobuf import config_pb2

from mobilenet import checkpoints, metrics, nets, text
from mobilenet.debug import dumps, observers
from mobilenet.debug.names import Names
from mobilenet.debug.replay import Replay
from mobilenet.debug.stepper import Stepper, Tools
from mobilenet.hooks import Hook


class Debug(Hook):
    """Decides how long the next loop is, runs it, and hands what was fetched to those who look: observers, a Stepper.

    draw_batch(pipeline, batch, path) writes a contact sheet and gives lines of text.
    """

    def __init__(self, draw_batch):
        self._draw_batch = draw_batch
        self._stepper = None

    def before_graph(self, run):
        config = run.config
        of_rank = f'rank_{run.rank}' if run.world_size > 1 else ''
        parent = config.dump_dir or os.path.join(config.train_dir, 'dumps')
        self._dump_dir = os.path.join(parent, of_rank)
        self._script = open_script(config.step_script) if config.step else None
        if config.dump_steps:
            ranges = steps_of_process(config.dump_steps, config.train_dir)
            run.device.dump_steps(os.path.join(self._dump_dir, 'device'), ranges)

    def session_ready(self, run):
        config = run.config
        names = Names(run.graph.step, nets.scope_name(config.model_name))
        self._replay = Replay(run.sess, run.graph, names, keep=config.step)
        self._observers = list(self._make_observers(run, names))
        if config.step:
            self._stepper = Stepper(self._replay, self._tools(run), self._script)

    def _tools(self, run):
        def entry(values, batch):
            del batch
            run.set_position(values)
            return metrics.entry(run, 1, values, 1.0)

        return Tools(
            total_steps=run.total_steps,
            longest_loop=run.config.longest_loop,
            train_dir=run.config.train_dir,
            draw_batch=lambda batch, path: self._draw_batch(run.pipeline, batch, path),
            save=run.save,
            entry=entry,
        )

    def _make_observers(self, run, names):
        config = run.config
        if config.dump_steps:
            steps = observers.Ranges(config.dump_steps)
            patterns = config.dump_tensors or dumps.DEFAULT_PATTERNS
            yield observers.Dump(steps, names, patterns, self._dump_dir, run.say)
        if config.profile_steps and run.is_main:
            steps, folder = (
                observers.Ranges(config.profile_steps),
                os.path.join(config.train_dir, 'profile'),
            )
            yield observers.Profile(steps, folder, run.say)
        # All ranks cut their loops alike: the steps of a loop meet those of the other ranks.
        if config.norms_every_steps:
            yield observers.Norms(observers.Every(config.norms_every_steps), names, run.events)
        if config.histograms_every_steps:
            every = observers.Every(config.histograms_every_steps)
            yield observers.Histograms(every, names, run.events)

    def before_loop(self, run, n):
        batch = run.batch
        if self._stepper:
            run.batch, run.halted, run.quitting = self._stepper.stop(
                batch, run.halted, self._entry, run.stop
            )
            n = self._stepper.loop_length(run.steps_left()) if run.steps_left() else 0
        if not n or self._at(run.batch):
            return min(n, 1)
        return next((m for m in range(1, n) if self._at(run.batch + m)), n)

    def _at(self, batch):
        return [o for o in self._observers if o.looks_at(batch)]

    def around_loop(self, run, n, proceed):
        batch = run.batch
        looking = self._at(batch)
        options = next((o.options for o in looking if o.options), None)
        metadata = config_pb2.RunMetadata() if options else None
        variables = {i.name: i.source for o in looking for i in o.variables}
        before = run.sess.run(variables) if looking else {}
        items = [i for o in looking for i in o.items]
        items += self._stepper.items() if self._stepper else []
        values = self._replay.run(batch, n, items, options, metadata)
        arrays = dict(self._replay.arrays, **before)
        for observer in looking:
            observer.see(batch, arrays, metadata)
        return values

    _entry = None

    def after_loop(self, run, n, values, seconds):
        if self._stepper:
            self._entry = metrics.entry(run, n, values, seconds)


def open_script(path):
    """The text file that the commands come from, or None: the terminal, or what is piped in."""
    if path is None:
        return None if sys.stdin.isatty() else sys.stdin
    if path == '-':
        return sys.stdin
    if not os.path.isfile(path):  # a pipe of the shell's, <(…)
        return open(path, encoding='utf-8', errors='surrogateescape')
    return io.StringIO(text.read_text(path), newline=None)


def steps_of_process(ranges, train_dir):
    """[(first, last)] of batches, counted from the first that this process takes, as a device counts."""
    latest = checkpoints.latest(train_dir)
    done = checkpoints.batches_of(latest) if latest else 0
    return [(max(first - done, 0), last - done) for first, last in ranges if last >= done]
