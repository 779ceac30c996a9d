"""Who looks at chosen steps: dumps, profiles, summaries. Such a step runs alone, the others in
loops as ever.

Steps are chosen, and files named, by the number of their batch, from 0, skipped ones included.
TensorBoard's axis is global_step, as of the metrics.
"""

import collections
import os

from mobilenet.debug import dumps, layer_summaries, trace
from mobilenet.debug.names import split

LINES_SHOWN = 14  # of a profile's table
# batch: of the step; step: global_step after it, as in metrics.jsonl; arrays: {name: array} of an
# observer's items and variables; metadata: tf.RunMetadata where its options asked for it.
Seen = collections.namedtuple('Seen', 'batch step arrays metadata')
TAGS = {'act': 'activations/', 'grad': 'gradients/', 'weight': 'weights/'}


def of_flags(run, names, dump_dir):
    """The observers that a run's flags ask for."""
    config = run.config
    if config.dump_steps:
        patterns = config.dump_tensors or dumps.DEFAULT_PATTERNS
        yield Dump(Ranges(config.dump_steps), names, patterns, dump_dir)
    if config.profile_steps and run.is_main:
        yield Profile(Ranges(config.profile_steps), os.path.join(config.train_dir, 'profile'))
    # All ranks cut their loops alike: the steps of a loop meet those of the other ranks.
    if config.norms_every_steps:
        yield Norms(Every(config.norms_every_steps), names)
    if config.histograms_every_steps:
        yield Histograms(Every(config.histograms_every_steps), names)


class Observer:
    """What the observers share. steps: a container of batch numbers.

    items: fetched of a step that is looked at; variables: read before it; options: tf.RunOptions of
    it, or None.
    """

    items, variables, options = (), (), None

    def __init__(self, steps):
        self._steps = steps

    def looks_at(self, batch):
        return batch in self._steps

    def see(self, run, seen):
        """After the step; the run's position is still that before it."""
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

    def __init__(self, steps, names, patterns, folder):
        super().__init__(steps)
        self._folder = folder
        self._all = names.select_all(patterns)
        self.variables, self.items = split(self._all)

    def see(self, run, seen):
        folder = dumps.folder_of(self._folder, seen.batch)
        dumps.write(folder, seen.batch, self._all, seen.arrays)
        run.say(f'dumped {len(self._all)} tensors of step {seen.batch} to {folder}')


class Profile(Observer):
    """A Chrome trace and a table of op types of a step."""

    def __init__(self, steps, folder):
        super().__init__(steps)
        self._folder, self.options = folder, trace.run_options()

    def see(self, run, seen):
        table = trace.write(self._folder, seen.batch, seen.metadata).splitlines()
        head = f'profile of step {seen.batch}, whole in {self._folder}'
        run.say('\n'.join([head] + table[:LINES_SHOWN]))


class Norms(Observer):
    """Norms of gradients and weights per layer, in TensorBoard."""

    def __init__(self, steps, names):
        super().__init__(steps)
        self.items = names.all('grad')
        trained = {i.short for i in self.items}
        self.variables = [i for i in names.all('weight') if i.short in trained]

    def see(self, run, seen):
        if run.events is not None:
            weights, gradients = (
                {i.short: seen.arrays[i.name] for i in items}
                for items in (self.variables, self.items)
            )
            _add(run, layer_summaries.norms(weights, gradients), seen.step)


class Histograms(Observer):
    """Histograms of weights, gradients and activations, in TensorBoard."""

    def __init__(self, steps, names):
        super().__init__(steps)
        self.items, self.variables = names.all('act') + names.all('grad'), names.all('weight')

    def see(self, run, seen):
        if run.events is not None:
            items = self.items + self.variables
            values = {TAGS[i.kind] + i.short: seen.arrays[i.name] for i in items}
            _add(run, layer_summaries.histograms(values), seen.step)


def _add(run, summary, step):
    run.events.add_summary(summary, step)
    run.events.flush()
