"""The stepper's commands. A docstring is the command's help; its first line is the usage."""

import collections
import os
import tempfile

import numpy as np

from mobilenet import patterns
from mobilenet.comparison import compare, report, statistics
from mobilenet.debug import dumps, expressions, tables
from mobilenet.debug.names import split
from mobilenet.errors import UsageError
from mobilenet.state import SCHEDULED

# What runs without asking. left: steps (None: no limit); single: one session run each; until: an Expression or None.
Plan = collections.namedtuple('Plan', ['left', 'single', 'until'])
CONTINUE = Plan(None, False, None)


class Commands:
    """do_NAME runs `NAME arguments`; true where the prompt ends. Raises UsageError where it cannot be done."""

    # ---- running

    def do_next(self, text):
        """next [N]: runs N steps (default 1), one session run each, and shows each."""
        return self.go(Plan(_count(text, 1), single=True, until=None))

    def do_loop(self, text):
        """loop N: runs N steps in one sunk session run (on an NPU at most --iterations_per_loop at once)."""
        return self.go(Plan(_count(text), single=False, until=None))

    def do_until(self, text):
        """until EXPR: runs steps one by one until the expression is true after one.

        until loss > 9
        until skipped_steps > 0
        until not finite(grad:Conv2d_0)
        until norm(grad:Logits) / norm(weight:Logits) > 0.1
        Names: loss total_loss accuracy learning_rate loss_scale skipped_steps global_step batch, and those of `names`; a graph's
        tensor in quotes: "MobilenetV1/Conv2d_0/Conv2D:0". Functions: finite norm mean std min max sum abs sqrt log10 zeros any all size."""
        return self.go(Plan(None, single=True, until=self._expression(text)))

    def do_repeat(self, text):
        """repeat: runs the last step (or loop) again: the same batch, weights put back; what was `set` since stays set."""
        _nothing(text)
        self.need_a_step()
        before = self.entry
        self.repeat()
        self.say(self.line())
        loss, again = before['loss'], self.entry['loss']
        self.say(
            'the same loss, bit for bit'
            if again == loss or again != again and loss != loss
            else f'another loss: {again - loss:+.9g}'
        )
        self.show_watches()

    def do_continue(self, text):
        """continue: runs on to the end, in loops; Ctrl-C comes back here after the loop that runs."""
        _nothing(text)
        return self.go(CONTINUE)

    def do_quit(self, text):
        """quit: ends the run here; what was not saved is lost."""
        _nothing(text)
        self.say(f'quit after {self.batch} of {self.tools.total_steps} steps')
        return self.quit()

    def do_save(self, text):
        """save: writes a checkpoint."""
        _nothing(text)
        self.say(f'saved {self.tools.save()}')

    # ---- looking

    def do_print(self, text):
        """print NAME…: value, shape, type, mean, std, min, max, and the shares of zeros, non-finite, float16 under- and overflow.

        print loss act:Conv2d_3_pointwise grad:Conv2d_0 weight:Conv2d_*/gamma "MobilenetV1/Conv2d_0/Conv2D:0"
        Activations and gradients are those of the last step, weights are as they are now. What is shown for the first time is
        fetched by running the last step again; nothing changes by it."""
        for name in _words(text):
            if self.is_scalar(name):
                self.say(f'{name} = {self.scalar(name):.9g}')
                continue
            items = self.inspection.names.select(name.strip('"'))
            for item, array in zip(items, self.arrays(items)):
                self.say(tables.tensor(item.name, array, statistics.describe(array)))

    def do_top(self, text):
        """top [grads|weights|activations] [K]: norms; the non-finite first, then the K largest and the K smallest (default 5).

        Gradients also relative to their weights, as those were before the step."""
        kind, count = 'grad', 5
        for word in text.split():
            if word in _KINDS:
                kind = _KINDS[word]
            else:
                count = _count(word)
        items = self.inspection.names.all(kind)
        if kind == 'weight':
            items = [i for i in items if '/moving_' not in i.name]
        values = {i.name: a for i, a in zip(items, self.arrays(items))}
        weights = None
        if kind == 'grad':
            own = self.inspection.names.select_all(
                ['weight:' + i.name.partition(':')[2] for i in items]
            )
            before = self.inspection.before(own)
            weights = {i.name: before[o.name] for i, o in zip(items, own)}
        self.say(tables.top(values, weights, count))

    def do_watch(self, text):
        """watch [EXPR]: shows the expression at every stop; alone: lists them (`help until` tells of expressions)."""
        if text:
            self.watches.append(self._expression(text))
        self.show_watches()

    def do_unwatch(self, text):
        """unwatch [N]: drops watch N, or all of them."""
        number = _count(text, 0)
        if number > len(self.watches):
            raise UsageError(f'there are {len(self.watches)} watches')
        self.watches = [w for i, w in enumerate(self.watches, 1) if number and i != number]

    def do_names(self, text):
        """names [PATTERN]: what can be looked at, such as `names act:*` or `names *gamma`."""
        found = [n for n in self.inspection.names.known() if patterns.matches(n, text or '*')]
        if not found:
            found = [i.name for i in self.inspection.names.select(text)]
        for name in found:
            self.say(name)

    def do_batch(self, text):
        """batch [FILE.png]: labels and records of the last batch, and its images as a contact sheet (default in --train_dir)."""
        number = self.entry['batch'] if self.entry else self.batch
        path = text or os.path.join(self.tools.train_dir, f'batch_{number:06d}.png')
        for line in self.tools.draw_batch(number, path):
            self.say(line)
        self.say(f'batch {number}: {path}')

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
        for variable, shown in self._settable(name):
            change = _change(variable, name, value)
            self.inspection.edit(variable, change)
            self.say(f'{shown} set to {value}')

    def _settable(self, name):
        """[(variable, what it is called)]."""
        state = self.inspection.state
        if name in ('loss_scale', 'learning_rate'):
            return [(state.loss_scale if name == 'loss_scale' else state.rate_override, name)]
        items = self.inspection.names.select(name)
        wrong = split(items).tensors
        if wrong:
            raise UsageError(
                f'{wrong[0].name} is computed: set loss_scale, learning_rate or a weight:, ema: or slot:'
            )
        return [(i.source, i.name) for i in items]

    # ---- comparing

    def do_dump(self, text):
        """dump DIR [PATTERN…]: writes tensors of the last step as .npy files with an index (weights are those of before it).

        By default the images, weights, activations, losses and gradients."""
        folder, *patterns = _words(text)
        count = self.write_dump(folder, patterns or dumps.DEFAULT_PATTERNS)
        self.say('dumped {} tensors of step {} to {}'.format(count, self.entry['batch'], folder))

    def do_compare(self, text):
        """compare DIR: the last step (A) against a dump of this step (B), from here or from another device."""
        (other,) = _words(text, 1)
        self.need_a_step()
        of_step = dumps.folder_of(other, self.entry['batch'])
        other = of_step if os.path.isdir(of_step) else other
        with tempfile.TemporaryDirectory() as folder:
            self.write_dump(folder, dumps.DEFAULT_PATTERNS)
            result = compare.compare(folder, other)
        self.say('\n'.join(report.lines(result)))

    def write_dump(self, folder, patterns):
        """Gives the number of tensors."""
        self.need_a_step()
        items = self.inspection.names.select_all(patterns)
        variables, tensors = split(items)
        arrays = self.inspection.fetch(tensors)
        arrays.update(self.inspection.before(variables))
        dumps.write(folder, self.entry['batch'], items, arrays)
        return len(items)

    # ---- shared

    def arrays(self, items):
        if split(items).tensors:
            self.need_a_step()
        found = self.inspection.fetch(items)
        return [found[i.name] for i in items]

    def _expression(self, text):
        """Checks the names too, before anything runs."""
        expression = expressions.parse(text)
        for name in expression.names:
            if not self.is_scalar(name):
                self.inspection.names.select(name)
        return expression


_KINDS = {
    'grads': 'grad',
    'gradients': 'grad',
    'weights': 'weight',
    'activations': 'act',
    'acts': 'act',
}


def _change(variable, name, text):
    """A function from a variable's value to the new one. Raises UsageError."""
    shape = variable.shape.as_list()
    if name == 'learning_rate' and text == 'schedule':
        return lambda old: np.float32(SCHEDULED)
    if text.endswith('.npy'):
        new = np.load(text, allow_pickle=False) if os.path.isfile(text) else None
        if new is None or list(new.shape) != shape:
            raise UsageError(
                '{}: {}'.format(
                    text,
                    'no such file'
                    if new is None
                    else f'shape {list(new.shape)}, {name} has {shape}',
                )
            )
        return lambda old: new.astype(old.dtype)
    try:
        number = float(text.lstrip('*'))
    except ValueError:
        raise UsageError(f'{text} is no number: set NAME 0.5, NAME *1.01 or NAME file.npy')
    if name == 'loss_scale' and not number > 0:
        raise UsageError('loss_scale must be above 0')
    if text.startswith('*'):
        return lambda old: np.asarray(old * np.asarray(number, old.dtype), old.dtype)
    return lambda old: np.full(np.shape(old), number, old.dtype)


def _count(text, default=None):
    if not text.strip() and default is not None:
        return default
    if not text.strip().isdigit() or int(text) < 1:
        raise UsageError('{} is no number of 1 or more'.format(text.strip() or 'nothing'))
    return int(text)


def _words(text, most=None):
    words = text.split()
    if not words or most and len(words) > most:
        raise UsageError(
            'give {}: help tells more'.format('one name' if most == 1 else 'at least one name')
        )
    return words


def _nothing(text):
    if text:
        raise UsageError(f'nothing is to follow, and there is {text}')
