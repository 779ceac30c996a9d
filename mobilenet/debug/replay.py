"""Steps that can be looked at and run again.

A session run gives what it was told to fetch, and each set of fetches is a graph of its own to optimize (on an NPU: to compile).
So a loop runs as ever, and what somebody wants to see of it afterwards is fetched by running it again: from the variables of
before, on the same batch, in one of a few sets. That gives the same numbers, or says something about the device.
"""

from mobilenet.debug.names import split


class Replay:
    """The runs of a TrainingGraph in one session. Holds what was fetched and, told to `keep`, the variables from before the last run."""

    def __init__(self, sess, graph, names, keep):
        self._sess, self._graph, self.names, self.keep = sess, graph, names, keep
        self._last = self._before = self._before_last = self._loss = None
        self._edits = []
        self.arrays = {}  # {item name: array} of the last run
        self.departed = False  # a run again gave another loss

    @property
    def state(self):
        return self._graph.state

    @property
    def can_repeat(self):
        return self._before is not None

    def run(self, batch, n, items=(), options=None, run_metadata=None):
        """Runs n steps, whose first takes `batch`; `items` are fetched of the last. Gives the loop's values."""
        self._before, self._last, self._edits = (
            self._graph.read(self._sess) if self.keep else None,
            (batch, n),
            [],
        )
        return self._run_last(items, options, run_metadata)

    def _run_last(self, items, options=None, run_metadata=None):
        n = self._last[1]
        self.arrays, self._before_last = {}, self._before if n == 1 else None
        values = self._go(n, items, options, run_metadata)
        self._loss, self.departed = values['total_loss_sum'], False
        return values

    def repeat(self):
        """Runs the last steps again: the same batches, from the variables of before and what was `edit`ed since."""
        for name, change in self._edits:
            self._before[name] = change(self._before[name])
        self._edits = []
        self._back()
        return self._run_last([])

    def _back(self):
        """To where the last steps began."""
        self._graph.write(self._sess, self._before)
        self._graph.seek(self._sess, self._last[0])
        self._graph.state.begin_loop(self._sess)

    def fetch(self, items):
        """{name: array} of the last step: activations, gradients and tensors as it computed them, variables as they are now."""
        variables, tensors = split(items)
        missing = [i for i in tensors if i.name not in self.arrays]
        if missing:
            self._run_again(missing)
        found = self._sess.run({i.name: i.source for i in variables})
        found.update({i.name: self.arrays[i.name] for i in tensors})
        return {i.name: found[i.name] for i in items}

    def before(self, items):
        """{name: array} of variables as they were before the last step."""
        if self._before_last is None:
            self._run_again(self.names.all('grad'))
        return {i.name: self._before_last[i.source.op.name] for i in items}

    def _run_again(self, items):
        """Fetches of the last step by running it again; all variables are then as they were."""
        now, (batch, n) = self._graph.read(self._sess), self._last
        try:
            self._back()
            if n > 1:
                self._graph.loop.run(self._sess, n - 1)
                self._before_last = self._graph.read(self._sess)
            values = self._step(items)
            self.departed = self.departed or not _same(values['total_loss_sum'], self._loss)
        except Exception:
            self._graph.seek(self._sess, batch + n)
            raise
        finally:
            self._graph.write(self._sess, now)

    def _go(self, n, items, options=None, run_metadata=None):
        if not items and not options:
            return self._graph.loop.run(self._sess, n)
        if n > 1:
            self._graph.loop.run(self._sess, n - 1)
        return self._step(items, options, run_metadata)

    def _step(self, items, options=None, run_metadata=None):
        values, arrays = self._graph.loop.run_step(
            self._sess, {i.name: i.source for i in self._whole_set(items)}, options, run_metadata
        )
        self.arrays.update(arrays)
        return values

    def _whole_set(self, items):
        """Items to fetch for `items`: gradients, or with them the activations, which take far more memory; tensors are added."""
        kinds = {i.kind for i in items}
        whole = self.names.all('grad') if 'grad' in kinds else []
        if kinds & {'act', 'step'}:
            whole = self.names.all('step') + self.names.all('act') + self.names.all('grad')
        return whole + [i for i in items if i.kind == 'tensor']

    def edit(self, variable, change):
        """Sets a variable to change(its value), now and where the last steps are repeated."""
        name = variable.op.name
        self._graph.write(self._sess, {name: change(self._sess.run(variable))})
        self._edits.append((name, change))

    def rewind(self, batch):
        """After a NaN that halted the run: the next step takes `batch` again."""
        self._graph.write(self._sess, {self._graph.state.halted.op.name: 0.0})
        self._graph.seek(self._sess, batch)


def _same(one, other):
    return one == other or (one != one and other != other)
