"""Where a run stands that is stepped through, and how far it goes before it stops again."""

import collections
import signal

from mobilenet.debug import expressions
from mobilenet.debug.looking import say
from mobilenet.errors import UsageError

# What runs without asking. left: steps (None: no limit); single: one session run each; until: an
# Expression or None.
Plan = collections.namedtuple('Plan', ['left', 'single', 'until'])
CONTINUE = Plan(None, False, None)
NOTHING = Plan(0, True, None)


class Stepper:
    """run: a TrainingRun; looking: a Looking; make_entry(values): a loop's values, of the run's
    position, as a line of metrics.jsonl.
    """

    def __init__(self, run, looking, make_entry):
        self._run, self._looking, self._make_entry = run, looking, make_entry
        self.plan, self.watches, self.interrupted = NOTHING, [], False
        self._came_from = run.batch

    # ---- between the loops

    def stops(self, report):
        """Whether it is the person's turn, after the steps since the last call.

        report(error): says what is wrong with the expression of an `until`.
        """
        done, self._came_from = self._run.batch - self._came_from, self._run.batch
        if self._goes_on(done, report):
            return False
        return self.plan != CONTINUE or self.interrupted  # else: the end of a run nobody stops

    def _goes_on(self, done, report):
        """Whether the plan has steps left; what it has done is said."""
        plan = self.plan
        if plan.left is not None:
            self.plan = plan = plan._replace(left=plan.left - done)
        finished = plan.left is not None and plan.left <= 0
        if self.interrupted or self._run.halted or self.at_end or finished:
            return False
        if plan.until is not None and done and self._holds(plan.until, report):
            return False
        if plan.single and plan.until is None:
            say(self._looking.line())
        return True

    def _holds(self, expression, report):
        try:
            return bool(expression.value(self._looking.lookup))
        except UsageError as error:
            report(error)
            return True

    def loop_length(self, n):
        """How many of n steps the next loop takes."""
        if self.plan.single:
            return min(n, 1)
        if self.plan.left is None:
            return n
        # As long as the plan allows, also where --iterations_per_loop would have cut it.
        return min(max(1, self.plan.left), self._run.config.longest_loop, n)

    def items(self):
        """What the next run is to fetch: for `watch` and `until`."""
        return self._looking.items(self.watches + ([self.plan.until] if self.plan.until else []))

    def take(self, entry):
        """After a loop. That of a NaN is not counted, as it changed nothing."""
        self._looking.take(entry, self._run.batch - (not self._run.halted))

    @property
    def at_end(self):
        return self._run.batch >= self._run.total_steps

    # ---- what commands do

    def go(self, plan):
        """`plan` runs, and the prompt ends."""
        if self.at_end and plan != CONTINUE:
            total = self._run.total_steps
            raise UsageError(f'the run has no steps left: it was told to end after {total}')
        if self._run.halted and plan != CONTINUE:
            self._looking.replay.rewind()
            self._run.halted = False
        self.plan, self.interrupted = plan, False
        self._looking.replay.keep = plan != CONTINUE
        return True

    def quit(self):
        self._run.quitting = True
        return True

    def repeat(self):
        """Runs the last steps again; the run then stands where they end."""
        values = self._looking.replay.repeat()
        self._run.set_position(values)
        self.take(self._make_entry(values))

    def interrupt(self, number):
        """A signal while no command is waited for: whether it is dealt with."""
        if number == signal.SIGINT and not self.interrupted:
            self.interrupted = True
            return True
        return False

    # ---- what is said

    def show(self):
        """Where the run has stopped."""
        run, looking = self._run, self._looking
        if self.interrupted:
            say('interrupted')
        self.interrupted, self.plan = False, NOTHING
        total = run.total_steps
        say(looking.line() if looking.entry else f'before step {run.batch} of {total}')
        if run.halted:
            say(
                f'the loss or a gradient of batch {run.batch} is not finite: '
                'the step has changed nothing'
            )
        if looking.replay.differed:
            say(
                'note: run again to be looked at, the step gave another loss: '
                'the device does not repeat itself'
            )
        if self.at_end:
            say(f"the run's {total} steps are done: quit or continue ends it")
        self.show_watches()

    def show_watches(self):
        for number, expression in enumerate(self.watches, 1):
            try:
                value = expressions.text_of(expression.value(self._looking.lookup))
            except UsageError as error:
                value = f'({error})'
            say(f'watch {number}: {expression.text} = {value}')
