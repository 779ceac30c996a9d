"""A training run: the graph, its session, where it stands, and the hooks attached to it."""

import contextlib
import functools
import math
import time

import tensorflow as tf

from mobilenet import (
    checkpoints,
    command,
    fine_tuning,
    log,
    moving_averages,
    ranks,
    training_graph,
    weights,
)
from mobilenet.checkpoints import position
from mobilenet.stop_signal import StopSignal
from mobilenet.weights import warm_start

STARTING = 'the graph is built: 5 to 20 s until the first step, minutes where a device compiles it'


class TrainingRun:
    """One rank's run. `open` it, then next_loop, around_loop and advance, again and again: see
    train_loop.py.

    Attributes:
      config: of config.for_training; dataset, pipeline, device, collectives, hooks: as given.
      rank, world_size, is_main (rank 0); logger: the rank's log; say(text): a line for the person
      too.
      graph: TrainingGraph; sess; checkpointer; resumed: path of the checkpoint it goes on from, or
      None.
      batch: batches taken, skipped ones included; step: global_step; halted: a NaN has stopped the
      steps. records: images taken by all ranks; total_steps: batches at the end of the run.
      run_id: the name of this run in its checkpoints, or None: a hook's.
      stop: StopSignal; quitting: a hook ended the run before its time, unsaved.
      events: TensorBoard's writer, or None: a hook's.
    """

    def __init__(self, config, dataset, pipeline, device, collectives, hooks):
        self.config, self.dataset, self.pipeline = config, dataset, pipeline
        self.device, self.collectives, self.hooks = device, collectives, hooks
        self.rank, self.world_size = collectives.rank, collectives.size
        self.is_main = self.rank == 0
        self.graph = self.sess = self.checkpointer = self.resumed = self.events = None
        self.run_id, self._shift = None, 0
        self.batch = self.step = 0
        self.halted = self.quitting = False
        self.stop, self._wishes, self._begun = StopSignal(), set(), []
        self.logger = log.open_log(config.train_dir, self.rank)

    @contextlib.contextmanager
    def open(self):
        """The open tf.Session, its variables and the position set. At the end, good or bad, the
        hooks' `end`.
        """
        with contextlib.ExitStack() as stack:
            try:
                for hook in self.hooks:
                    self._begun.append(hook)
                    hook.before_graph(self)
                stack.enter_context(tf.Graph().as_default())
                start = self._build()
                for line in self.device.check_graph(self.graph.step):
                    self.say(line)
                self.say(STARTING)
                longest = self.config.longest_loop
                self.sess = stack.enter_context(self.device.session(longest, self.world_size))
                for hook in self.hooks:
                    hook.session_open(self)
                start()
                for hook in self.hooks:
                    hook.session_ready(self)
                yield self.sess
            except BaseException as error:
                error.batch, error.step = self.batch, self.step
                self._end(error)
                raise
            self._end(None)

    def _end(self, error):
        for hook in reversed(self._begun):
            try:
                hook.end(self, error)
            except Exception as raised:
                if error is not None:
                    self.logger.exception('while ending')
                error = error or raised
                raised.batch, raised.step = self.batch, self.step
        self._begun = []
        if error is not None:
            raise error

    def _build(self):
        """Builds the graph and all that is to run in its session; gives the function that sets its
        start.
        """
        config = self.config
        self._gather = ranks.Gather(
            self.collectives
        )  # first, so that it works however ranks differ
        initial, lines = self._warm_start()  # what does not fit is refused before a graph is built
        self.graph = training_graph.build(
            config, self.pipeline, self.device, self.collectives, to_inspect=config.inspects
        )
        self._broadcast = ranks.Broadcast(
            tf.global_variables(), self.graph.state.counters, self.collectives
        )
        self.checkpointer = checkpoints.Checkpointer(
            config.train_dir, config.keep_checkpoints, config.keep_best, self.run_id, self.say
        )
        lines += fine_tuning.said(config)
        initialize = [tf.global_variables_initializer(), tf.local_variables_initializer()]
        tf.get_default_graph().finalize()
        return functools.partial(self._start, initialize, initial, lines)

    def _warm_start(self):
        """({variable: value} of --checkpoint_path, lines on what is left out); nothing where it is
        not given, or this run has checkpoints of its own.
        """
        config = self.config
        if not config.checkpoint_path or checkpoints.latest(config.train_dir):
            return {}, []
        path = weights.locate(config.checkpoint_path)
        return warm_start.values_for(config, weights.open_weights(path))

    def _start(self, initialize, initial, lines):
        sess = self.sess
        sess.run(initialize)
        if self.config.deterministic:
            values = training_graph.initial_values(initialize, tf.global_variables())
            self.graph.write(sess, values)
        if initial:
            self.graph.write(sess, moving_averages.with_averages(initial, self.graph.shapes))
        self.resumed = self._restore(sess) if self.is_main else None
        self._broadcast.run(sess)
        counters = self.graph.state
        step, skipped = sess.run([counters.global_step, counters.skipped_steps])
        self.step, self.batch = int(step), int(step + skipped)
        self._set_shift(sess)
        self.graph.seek(sess, self.batch)
        for line in lines:
            self.say(line)

    def _restore(self, sess):
        """Of rank 0; what --allow_changed names may have other slots or averages."""
        config = self.config
        path = self.checkpointer.restore(sess, may_lack=bool(config.allow_changed))
        before = command.read_config(config.train_dir).get('loss_scale') if path else None
        if before not in (None, list(config.loss_scale)):
            # The checkpoint has the one that was changed, and a fixed one would stay for ever.
            self.graph.state.loss_scale.load(config.initial_loss_scale, sess)
        return path

    def _set_shift(self, sess):
        """Goes on at the record where the run stood, if it has another number of ranks, or another
        batch size, than the steps before: by so many records it is ahead of batch * images a step.
        """
        facts = position.read(self.resumed) if self.resumed else {}
        shift = facts['records'] - self.batch * self.images_a_step if facts else 0
        self._shift = int(self.gather(b'%d' % shift)[0])
        self.pipeline.shift = self._shift
        if self.config.max_train_steps is None:  # else the schedule is in steps as well
            self.graph.state.schedule_shift.load(self._shift / self.images_a_step, sess)

    # ---- where it stands

    @property
    def images_a_step(self):
        """Images that all ranks take in a step."""
        return self.config.batch_size * self.world_size

    @property
    def records(self):
        """Images that all ranks have taken, of skipped batches too."""
        return self._shift + self.batch * self.images_a_step

    @property
    def total_steps(self):
        """Batches at the end of the run: config.total_steps, if the ranks were never others."""
        config = self.config
        if not self._shift or config.max_train_steps is not None:
            return config.total_steps
        records = config.max_epoch * self.dataset.num_examples - self._shift
        return max(1, math.ceil(records / self.images_a_step))

    # ---- the loop

    def steps_left(self):
        """How many steps the next loop may have; 0 at the end."""
        if self.quitting or self.halted or self.stop.agreed:
            return 0
        return max(min(self.config.longest_loop, self.total_steps - self.batch), 0)

    def next_loop(self):
        """How many steps the coming loop has, as the hooks allow; 0: the run is at its end."""
        if self.stop.agreed:
            return 0
        n = self.steps_left()
        for hook in self.hooks:
            n = hook.before_loop(self, n)
        if n:
            self.graph.state.begin_loop(self.sess, self.wishes())
        return n

    def around_loop(self, n, proceed):
        """The values of the loop that `proceed(n)` runs, through the hooks."""
        for hook in reversed(self.hooks):
            proceed = functools.partial(_around, hook, self, proceed)
        return proceed(n)

    def advance(self, n, values, seconds):
        """Takes over where a loop ended, and tells the hooks."""
        self.set_position(values)
        self.stop.agree('stop' in self._agreed(values))
        for hook in self.hooks:
            hook.after_loop(self, n, values, seconds)
        self._wishes.clear()

    def set_position(self, values):
        """Where the run stands, by a loop's values."""
        self.step = int(values['global_step'])
        self.batch = int(values['global_step'] + values['skipped_steps'])
        self.halted = values['halted'] > 0

    @property
    def at_end(self):
        """Whether no loop comes after this one, as far as can be said now."""
        return self.steps_left() == 0

    # ---- what hooks may do

    def say(self, text):
        """A line for the person (rank 0) and the log."""
        log.say(self.logger, text, to_terminal=self.is_main)

    def save(self):
        """Writes the checkpoint of the step where the run stands; gives its path. Rank 0."""
        counters = self.graph.state
        step, skipped = self.sess.run([counters.global_step, counters.skipped_steps])
        batches = int(step + skipped)
        facts = {
            'step': int(step),
            'batches': batches,
            'records': self._shift + batches * self.images_a_step,
            'world_size': self.world_size,
            'batch_size': self.config.batch_size,
            'time': time.time(),
        }
        return self.checkpointer.save(self.sess, int(step), facts)

    def wish(self, name):
        """Tells the other ranks of a wish of state.WISHES with the coming loop; see `agreed`."""
        self._wishes.add(name)

    def wishes(self):
        """This rank's wishes for the coming loop."""
        return self._wishes | ({'stop'} if self.stop.wished else set())

    def agreed(self, values, name):
        """Whether a rank had that wish when the loop began: alike on all ranks."""
        return name in self._agreed(values)

    def _agreed(self, values):
        return self.graph.state.agreed_wishes(values) if self.world_size > 1 else self.wishes()

    def gather(self, data):
        """The bytes (at most ranks.GATHERED_BYTES) that each rank gives, in order of rank. All
        ranks call it alike.
        """
        return self._gather.run(self.sess, data)


def _around(hook, run, proceed, n):
    return hook.around_loop(run, n, proceed)
