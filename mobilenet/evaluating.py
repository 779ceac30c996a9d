"""--eval_every_epochs: evaluations between loops, so that a validation curve stands beside the
training's.
"""

import json
import math
import os
import time

from mobilenet import appending, devices, evaluation
from mobilenet.checkpoints import SaveError, is_whole, names, position
from mobilenet.errors import UsageError
from mobilenet.events import EventWriter
from mobilenet.hooks import Hook
from mobilenet.run_record import other_classes
from mobilenet.weights.sources import Weights


class Abandoned(Exception):
    """The run is to stop: the evaluation under way is given up."""


class Evaluating(Hook):
    """Rank 0 evaluates the whole validation split with its weights (EMA, where there is one) and
    batch norm statistics, as a checkpoint would have them; the other ranks wait. It has a graph and
    a session of its own, on the host's cores whatever the device, which stay for the next time;
    training computes the same bits with it.

    open_validation(config): (data set, pipeline of every image once).
    """

    def __init__(self, open_validation):
        self._open_validation = open_validation
        self._evaluation = self._lines = self._curve = None

    def before_graph(self, run):
        self._every = run.config.eval_every_epochs
        if self._every is None or not run.is_main:
            return
        dataset, pipeline = self._open_validation(run.config)
        for difference in other_classes(
            {'class_names': run.dataset.class_names}, dataset.class_names
        ):
            raise UsageError(
                f'--eval_every_epochs: the validation split has {difference.now}, the training '
                f'split {difference.before}: both need the same classes'
            )
        self._evaluation = evaluation.Evaluation(
            dataset,
            pipeline,
            devices.create(run.config.replace(device='host')),  # an NPU has the training's session
            str(run.config.label_offset),
            say=run.say,
        )

    def session_ready(self, run):
        self._periods = self._periods_of(run)
        if self._evaluation is not None:
            folder = run.config.train_dir
            path = os.path.join(folder, 'eval.jsonl')
            appending.drop_lines_after(path, ['step'], run.step)
            self._lines = appending.Appender(path)
            self._curve = EventWriter(os.path.join(folder, 'validation'), run.step + 1)

    def after_loop(self, run, n, values, seconds):
        due, self._periods = self._periods_of(run) > self._periods, self._periods_of(run)
        if self._every is None or run.halted or not (due or run.batch >= run.total_steps):
            return
        if run.is_main and not run.stop.wished:
            self._evaluate(run)
        run.gather(b'')  # the others wait here, where the time of no loop runs

    def _periods_of(self, run):
        """How many evaluations the position has behind it."""
        if self._every is None:
            return 0
        return math.floor(run.records / (self._every * run.dataset.num_examples))

    def _evaluate(self, run):
        def batches(count):
            for number in range(count):
                if run.stop.wished:
                    raise Abandoned
                yield number

        started = time.monotonic()
        prefix = names.prefix_of(run.config.train_dir, run.step)
        shapes = run.graph.shapes
        current = Weights(prefix, 'run', shapes, lambda names: run.graph.read(run.sess, names))
        try:
            entry, _ = self._evaluation.figures(current, run.config.model_name, progress=batches)
        except Abandoned:
            run.say('the evaluation is given up: the run is to stop')
            return
        except UsageError:  # a record of the validation split: the training so far is not lost
            run.save()
            raise
        run.say(f'evaluated: {evaluation.in_words(entry)}  {time.monotonic() - started:.1f} s')
        self._keep(run, prefix, entry)

    def _keep(self, run, prefix, entry):
        """Writes the figures; with --keep_best beside a checkpoint of this step."""
        try:
            if run.config.keep_best and not is_whole(prefix):
                run.save()
            if is_whole(prefix):
                position.mark(prefix, entry)
            else:
                entry = dict(entry, checkpoint=None)
        except (SaveError, OSError) as error:
            run.say(f'{error}: no mark for --keep_best')
        self._lines.append(json.dumps(entry).encode() + b'\n')
        evaluation.add_to_curve(self._curve, entry)

    def end(self, run, error):
        if self._lines is not None:
            self._lines.close()
            self._curve.close()
        if self._evaluation is not None:
            self._evaluation.close()
            for place, reason in self._evaluation.pipeline.bad_records.items():
                run.say(f'skipped {place}: {reason} (validation)')
