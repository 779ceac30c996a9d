"""Who looks at chosen steps: dumps, profiles, summaries. Such a step runs alone, the others in loops as ever.

An observer has `looks_at(batch)`, `items` (fetched of that step), `variables` (read before it), `options` (tf.RunOptions or
None) and `see(batch, arrays, run_metadata)`. Steps are counted in batches from 0, skipped ones included.
"""

from mobilenet.debug import dumps, layer_summaries, trace
from mobilenet.debug.names import split

LINES_SHOWN = 14  # of a profile's table


class Observer:
    """What the observers share. steps: a container of batch numbers."""

    items, variables, options = (), (), None

    def __init__(self, steps):
        self._steps = steps

    def looks_at(self, batch):
        return batch in self._steps

    def see(self, batch, arrays, run_metadata):
        raise NotImplementedError


class Ranges:
    """The container of some ranges, [[first, last], …]."""

    def __init__(self, ranges):
        self._ranges = ranges

    def __contains__(self, batch):
        return any(first <= batch <= last for first, last in self._ranges)


class Every:
    """The container of all multiples of a number."""

    def __init__(self, number):
        self._number = number

    def __contains__(self, batch):
        return batch % self._number == 0


class Dump(Observer):
    """Tensors of a step in FOLDER/step_000010."""

    def __init__(self, steps, names, patterns, folder, say):
        super().__init__(steps)
        self._folder, self._say = folder, say
        self._all = names.select_all(patterns)
        self.variables, self.items = split(self._all)

    def see(self, batch, arrays, run_metadata):
        folder = dumps.write(dumps.folder_of(self._folder, batch), batch, self._all, arrays)
        self._say(f'dumped {len(self._all)} tensors of step {batch} to {folder}')


class Profile(Observer):
    """A Chrome trace and a table of op types of a step."""

    def __init__(self, steps, folder, say):
        super().__init__(steps)
        self._folder, self._say, self.options = folder, say, trace.run_options()

    def see(self, batch, arrays, run_metadata):
        table = trace.write(self._folder, batch, run_metadata).splitlines()
        self._say(
            '\n'.join([f'profile of step {batch}, whole in {self._folder}'] + table[:LINES_SHOWN])
        )


class Norms(Observer):
    """Norms of gradients and weights per layer, in TensorBoard."""

    def __init__(self, steps, names, events):
        super().__init__(steps)
        self.items, self._events = names.all('grad'), events
        trained = {i.short for i in self.items}
        self.variables = [i for i in names.all('weight') if i.short in trained]

    def see(self, batch, arrays, run_metadata):
        if self._events is None:
            return
        self._events.add_summary(
            layer_summaries.norms(_short(self.variables, arrays), _short(self.items, arrays)), batch
        )
        self._events.flush()


class Histograms(Observer):
    """Histograms of weights, gradients and activations, in TensorBoard."""

    def __init__(self, steps, names, events):
        super().__init__(steps)
        self.items, self.variables = names.all('act') + names.all('grad'), names.all('weight')
        self._events = events

    def see(self, batch, arrays, run_metadata):
        if self._events is None:
            return
        groups = {'act': 'activations/', 'grad': 'gradients/', 'weight': 'weights/'}
        values = {groups[i.kind] + i.short: arrays[i.name] for i in self.items + self.variables}
        self._events.add_summary(layer_summaries.histograms(values), batch)
        self._events.flush()


def _short(items, arrays):
    return {i.short: arrays[i.name] for i in items}
