"""What the debugging flags ask for, attached to a run."""

import os

from tensorflow.core.protobuf import config_pb2

from mobilenet import checkpoints, command, metrics, nets
from mobilenet.debug import observers
from mobilenet.debug.commands import Commands
from mobilenet.debug.looking import Looking
from mobilenet.debug.names import Names
from mobilenet.debug.prompt import Prompt, open_script
from mobilenet.debug.replay import Replay
from mobilenet.debug.stepper import Stepper
from mobilenet.hooks import Hook


class Debug(Hook):
    """Cuts the loops so that a step that is looked at runs alone, and hands what was fetched to the
    observers; with --step, takes commands between the loops.

    input: a module with raw_batches(pipeline, first, n) and draw(pipeline, batch, path), which
    writes a contact sheet and gives lines of text.
    """

    def __init__(self, input):
        self._input = input
        self._observers, self._stepper, self._prompt = [], None, None

    def before_graph(self, run):
        config = run.config
        of_rank = f'rank_{run.rank}' if run.world_size > 1 else ''
        self._dump_dir = os.path.join(
            config.dump_dir or os.path.join(config.train_dir, 'dumps'), of_rank
        )
        self._script = open_script(config.step_script) if config.step else None
        if config.dump_steps:
            command.make_folder(self._dump_dir, '--dump_dir')
            ranges = steps_of_process(config.dump_steps, config.train_dir)
            run.device.dump_steps(os.path.join(self._dump_dir, 'device'), ranges)

    def session_ready(self, run):
        names = Names(run.graph.step, nets.scope_name(run.config.model_name))
        self._replay = Replay(run.sess, run.graph, names, run.batch, self._raw_batches(run))
        self._observers = list(observers.of_flags(run, names, self._dump_dir))
        if run.config.step:
            self._attach_prompt(run, names)

    def _raw_batches(self, run):
        return lambda first, n: self._input.raw_batches(run.pipeline, first, n)

    def _attach_prompt(self, run, names):
        looking = Looking(names, self._replay)
        self._stepper = Stepper(run, looking, lambda values: metrics.entry(run, 1, values, 1.0))
        commands = Commands(
            run,
            self._stepper,
            looking,
            lambda batch, path: self._input.draw(run.pipeline, batch, path),
        )
        self._prompt = Prompt(commands, run, self._stepper, names.known(), self._script)

    def before_loop(self, run, n):
        if self._prompt:
            if self._stepper.stops(self._prompt.fail):
                self._stepper.show()
                self._prompt.ask()
            # A command may have ended the run, or let a halted one go on.
            n = self._stepper.loop_length(min(n or run.steps_left(), run.steps_left()))
        if n and self._at(run.batch):
            return 1
        return next((m for m in range(1, n) if self._at(run.batch + m)), n)

    def _at(self, batch):
        return [o for o in self._observers if o.looks_at(batch)]

    def around_loop(self, run, n, proceed):
        looking = self._at(run.batch)
        options = next((o.options for o in looking if o.options), None)
        metadata = config_pb2.RunMetadata() if options else None
        variables = {i.name: i.source for o in looking for i in o.variables}
        before = run.sess.run(variables) if variables else {}
        items = [i for o in looking for i in o.items]
        items += self._stepper.items() if self._stepper else []
        values = self._replay.run(run.batch, n, proceed, items, options, metadata)
        arrays = dict(self._replay.arrays, **before)
        seen = observers.Seen(run.batch, int(values['global_step']), arrays, metadata)
        for observer in looking:
            observer.see(run, seen)
        return values

    def after_loop(self, run, n, values, seconds):
        if self._stepper:
            self._stepper.take(metrics.entry(run, n, values, seconds))


def steps_of_process(ranges, train_dir):
    """[(first, last)] of batches, counted from the first that this process takes, as a device
    counts.
    """
    latest = checkpoints.latest(train_dir)
    done = checkpoints.batches_of(latest) if latest else 0
    return [(max(first - done, 0), last - done) for first, last in ranges if last >= done]
