"""What names stand for after the last loop: figures of the run, tensors of the step, variables."""

import sys

from mobilenet.debug import expressions
from mobilenet.debug.names import split
from mobilenet.errors import UsageError

SCALARS = (
    'loss',
    'total_loss',
    'accuracy',
    'learning_rate',
    'loss_scale',
    'skipped_steps',
    'global_step',
    'batch',
)


def say(text):
    """A line of the session. Plain text without times: a script prints the same text twice."""
    sys.stdout.write(text + '\n')
    sys.stdout.flush()


class Looking:
    """names: a Names; replay: a Replay; entry: the last loop's figures, None before the first."""

    def __init__(self, names, replay):
        self.names, self.replay, self.entry = names, replay, None

    def take(self, entry, batch):
        """entry: a line of metrics.jsonl; batch: the number of the last batch of its loop."""
        self.entry = dict(entry, global_step=entry['step'], batch=batch)

    def line(self):
        """The last loop in one line."""
        return (
            'batch {batch}  global_step {global_step}  loss {loss:.9g}  '
            'total_loss {total_loss:.9g}  accuracy {accuracy:.4f}  '
            'learning_rate {learning_rate:.6g}  loss_scale {loss_scale:g}  '
            'skipped_steps {skipped_steps}'
        ).format(**self.entry)

    def need_a_step(self):
        if not self.replay.can_repeat:
            raise UsageError('no step to look at yet: next runs one')

    def is_scalar(self, name):
        return name in SCALARS

    def scalar(self, name):
        """A figure of the last loop. Raises UsageError before the first."""
        if self.entry is None:
            raise UsageError(f'no step has run yet: there is no {name}')
        return self.entry[name]

    def arrays(self, items):
        """Their arrays, in the same order: variables as they are now, the rest of the last step."""
        if split(items).tensors:
            self.need_a_step()
        found = self.replay.fetch(items)
        return [found[i.name] for i in items]

    def lookup(self, name):
        """Arrays of a name in an expression."""
        if self.is_scalar(name):
            return [self.scalar(name)]
        return self.arrays(self.names.select(name))

    def expression(self, text):
        """Parsed; its names are checked too, before anything runs. Raises UsageError."""
        expression = expressions.parse(text)
        for name in expression.names:
            if self.is_scalar(name):
                continue
            item = self.names.select(name)[0]
            # `step`, say, which metrics.jsonl has, is some constant
            if item.kind == 'tensor' and name.isidentifier():
                figures = ', '.join(SCALARS)
                raise UsageError(
                    f'no figure is named {name}: there are {figures}; a tensor of the graph is '
                    f'"{name}:0"'
                )
        return expression

    def items(self, wanted):
        """What the next run is to fetch for some expressions."""
        names = [n for e in wanted for n in e.names if not self.is_scalar(n)]
        return split(self.names.select_all(names)).tensors
