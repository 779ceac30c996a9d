"""The commands of `train_loop.py --step`. A docstring is the command's help; its first line is the
usage.
"""

import os
import tempfile

from mobilenet import patterns
from mobilenet.comparison import compare, report, statistics
from mobilenet.debug import changes, dumps, tables
from mobilenet.debug.looking import say
from mobilenet.debug.names import split
from mobilenet.debug.stepper import CONTINUE, Plan
from mobilenet.errors import UsageError
from mobilenet.text import whole_number

KINDS = {
    'grads': 'grad',
    'gradients': 'grad',
    'weights': 'weight',
    'activations': 'act',
    'acts': 'act',
}


class Commands:
    """do_NAME runs `NAME arguments`; true where the prompt ends. Raises UsageError where it cannot
    be done.

    run: a TrainingRun; stepper: a Stepper; looking: a Looking; draw_batch(batch, path): writes a
    contact sheet, gives lines of text.
    """

    def __init__(self, run, stepper, looking, draw_batch):
        self._run, self._stepper, self._looking = run, stepper, looking
        self._names, self._replay = looking.names, looking.replay
        self._draw_batch = draw_batch

    # ---- running

    def do_next(self, text):
        """next [N]: runs N steps (default 1), one session run each, and shows each."""
        return self._stepper.go(Plan(count(text, 1), single=True, until=None))

    def do_loop(self, text):
        """loop N: runs N steps in one sunk session run (on an NPU at most --iterations_per_loop at
        once).
        """
        return self._stepper.go(Plan(count(text), single=False, until=None))

    def do_until(self, text):
        """until EXPR: runs steps one by one until the expression is true after one.

        until loss > 9
        until skipped_steps > 0
        until not finite(grad:Conv2d_0)
        until norm(grad:Logits) / norm(weight:Logits) > 0.1
        Names: loss total_loss accuracy learning_rate loss_scale skipped_steps global_step batch,
        and those of `names`; a graph's tensor in quotes: "MobilenetV1/Conv2d_0/Conv2D:0".
        Functions: finite norm mean std min max sum abs sqrt log10 zeros any all size."""
        return self._stepper.go(Plan(None, single=True, until=self._looking.expression(text)))

    def do_repeat(self, text):
        """repeat: runs the last step (or loop) again: the same batch, weights put back; what was
        `set` since stays set.
        """
        nothing(text)
        self._looking.need_a_step()
        loss = self._looking.scalar('loss')
        self._stepper.repeat()
        say(self._looking.line())
        again = self._looking.scalar('loss')
        same = again == loss or again != again and loss != loss
        say('the same loss, bit for bit' if same else f'another loss: {again - loss:+.9g}')
        self._stepper.show_watches()

    def do_continue(self, text):
        """continue: runs on to the end, in loops; Ctrl-C comes back here after the loop that
        runs.
        """
        nothing(text)
        return self._stepper.go(CONTINUE)

    def do_quit(self, text):
        """quit: ends the run here; what was not saved is lost."""
        nothing(text)
        say(f'quit after {self._run.batch} of {self._run.total_steps} steps')
        return self._stepper.quit()

    def do_save(self, text):
        """save: writes a checkpoint."""
        nothing(text)
        say(f'saved {self._run.save()}')

    # ---- looking

    def do_print(self, text):
        """print NAME…: value, shape, type, mean, std, min, max, and the shares of zeros,
        non-finite, float16 under- and overflow.

        print loss act:Conv2d_3_pointwise grad:Conv2d_0 weight:Conv2d_*/gamma
        print "MobilenetV1/Conv2d_0/Conv2D:0"
        Activations and gradients are those of the last step, weights are as they are now. What is
        shown for the first time is fetched by running the last step again; nothing changes by it.
        """
        for name in words(text):
            if self._looking.is_scalar(name):
                say(f'{name} = {self._looking.scalar(name):.9g}')
                continue
            items = self._names.select(name.strip('"'))
            for item, array in zip(items, self._looking.arrays(items)):
                say(tables.tensor(item.name, array, statistics.describe(array)))

    def do_top(self, text):
        """top [grads|weights|activations] [K]: norms; the non-finite first, then the K largest and
        the K smallest (default 5).

        Gradients also relative to their weights, as those were before the step."""
        kind, number = 'grad', 5
        for word in text.split():
            if word in KINDS:
                kind = KINDS[word]
            else:
                number = count(word)
        items = self._names.all(kind)
        if kind == 'weight':
            items = [i for i in items if '/moving_' not in i.name]
        values = {i.name: a for i, a in zip(items, self._looking.arrays(items))}
        weights = None
        if kind == 'grad':
            own = self._names.select_all(['weight:' + i.short for i in items])
            before = self._replay.before(own)
            weights = {i.name: before[o.name] for i, o in zip(items, own)}
        say(tables.top(values, weights, number))

    def do_watch(self, text):
        """watch [EXPR]: shows the expression at every stop; alone: lists them (`help until` tells
        of expressions).
        """
        if text:
            self._stepper.watches.append(self._looking.expression(text))
        self._stepper.show_watches()

    def do_unwatch(self, text):
        """unwatch [N]: drops watch N, or all of them."""
        watches = self._stepper.watches
        number = count(text, 0)
        if number > len(watches):
            raise UsageError(f'there are {len(watches)} watches')
        watches[:] = [w for i, w in enumerate(watches, 1) if number and i != number]

    def do_names(self, text):
        """names [PATTERN]: what can be looked at, such as `names act:*` or `names *gamma`."""
        found = [n for n in self._names.known() if patterns.matches(n, text or '*')]
        if not found:
            found = [i.name for i in self._names.select(text)]
        for name in found:
            say(name)

    def do_batch(self, text):
        """batch [FILE.png]: labels and records of the last batch, and its images as a contact sheet
        (default in --train_dir).
        """
        entry = self._looking.entry
        number = entry['batch'] if entry else self._run.batch
        path = text or os.path.join(self._run.config.train_dir, f'batch_{number:06d}.png')
        for line in self._draw_batch(number, path):
            say(line)
        say(f'batch {number}: {path}')

    # ---- changing

    def do_set(self, text):
        """set NAME VALUE: sets loss_scale, learning_rate (or `schedule` again) or variables.

        set loss_scale 1024
        set learning_rate 0.01
        set learning_rate schedule
        set weight:Conv2d_3_pointwise/gamma *1.01       (times)
        set weight:Logits/Conv2d_1c_1x1/biases 0        (all of them)
        set ema:Conv2d_0/weights values.npy             (of the same shape)"""
        name, _, value = text.replace('=', ' ', 1).partition(' ')
        value = value.strip()
        if not value:
            raise UsageError('set NAME VALUE, such as: set loss_scale 1024')
        edits = [
            (variable, shown, changes.change(variable, name, value))
            for variable, shown in changes.settable(self._names, self._run.graph.state, name)
        ]  # all of them are checked before the first is done
        for variable, shown, change in edits:
            self._replay.edit(variable, change)
            say(f'{shown} set to {value}')

    # ---- comparing

    def do_dump(self, text):
        """dump DIR [PATTERN…]: writes tensors of the last step as .npy files with an index (weights
        are those of before it).

        By default the images, weights, activations, losses and gradients."""
        folder, *chosen = words(text)
        number = self._write_dump(folder, chosen or dumps.DEFAULT_PATTERNS)
        say(f'dumped {number} tensors of step {self._looking.entry["batch"]} to {folder}')

    def do_compare(self, text):
        """compare DIR: the last step (A) against a dump of this step (B), from here or from another
        device.
        """
        (other,) = words(text, 1)
        self._looking.need_a_step()
        of_step = dumps.folder_of(other, self._looking.entry['batch'])
        other = of_step if os.path.isdir(of_step) else other
        with tempfile.TemporaryDirectory() as folder:
            self._write_dump(folder, dumps.DEFAULT_PATTERNS)
            result = compare.compare(folder, other)
        say('\n'.join(report.lines(result)))

    def _write_dump(self, folder, chosen):
        """Gives the number of tensors."""
        self._looking.need_a_step()
        items = self._names.select_all(chosen)
        variables, tensors = split(items)
        arrays = self._replay.fetch(tensors)
        arrays.update(self._replay.before(variables))
        dumps.write(folder, self._looking.entry['batch'], items, arrays)
        return len(items)


def count(text, default=None):
    if not text.strip() and default is not None:
        return default
    number = whole_number(text.strip())
    if not number:
        raise UsageError(f'{text.strip() or "nothing"} is no number of 1 or more')
    return number


def words(text, most=None):
    found = text.split()
    if not found or most and len(found) > most:
        raise UsageError(
            f'give {"one name" if most == 1 else "at least one name"}: help tells more'
        )
    return found


def nothing(text):
    if text:
        raise UsageError(f'nothing is to follow, and there is {text}')
