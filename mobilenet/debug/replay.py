"""Steps that can be looked at and run again.

A session run gives what it was told to fetch, and each set of fetches is a graph of its own to
optimize (on an NPU: to compile). So a loop runs as ever, and what somebody wants to see of it
afterwards is fetched by running it again: from the variables of before, on the same batch, in one
of a few sets. That gives the same numbers, or says something about the device.

A step that runs again is fed its batch, read anew by its number. The input of the run itself is
not touched: on an NPU nobody knows what a second initialisation of it does.
"""

from mobilenet.debug.names import split


class Replay:
    """The runs of a TrainingGraph in one session. Holds what was fetched and, told to `keep`, the
    variables from before the last run.

    read_batches(first, n): yields n batches from number `first` as the graph's input has them.
    """

    def __init__(self, sess, graph, names, batch, read_batches):
        self._sess, self._graph, self._names = sess, graph, names
        self._read_batches = read_batches
        self._next_input = batch  # the number of the batch that the run's own input gives next
        self._last = self._before = self._before_last = self._loss = None
        self._edits = []
        self.keep = False
        self.arrays = {}  # {item name: array} of the last run
        self.differed = False  # a run again gave another loss

    @property
    def can_repeat(self):
        return self._before is not None

    def run(self, batch, n, proceed, items=(), options=None, metadata=None):
        """Runs n steps, whose first takes `batch`; `items` are fetched of the last. Gives the
        loop's values.

        proceed(n): runs n steps of which nothing is fetched; options, metadata: of the last step's
        session run.
        """
        self._before = self._graph.read(self._sess) if self.keep else None
        self._last, self._edits = (batch, n), []
        self.arrays, self._before_last = {}, self._before if n == 1 else None
        fed = max(0, min(n, self._next_input - batch))  # after a NaN: the input is further
        if fed == n:
            values = self._feed(batch, n, items, options=options, metadata=metadata)
        else:
            if fed:
                self._feed(batch, fed, [])
            values = self._go(n - fed, proceed, items, options, metadata)
        self._loss, self.differed = values['total_loss_sum'], False
        return values

    def _go(self, n, proceed, items, options, metadata):
        """Steps on the run's own input."""
        self._next_input += n
        if not items and not options:
            return proceed(n)
        if n > 1:
            proceed(n - 1)
        return self._step(items, None, options, metadata)

    def repeat(self):
        """Runs the last steps again: the same batches, from the variables of before and what was
        `edit`ed since.
        """
        changed = dict(self._before)
        for name, change in self._edits:
            changed[name] = change(changed[name])
        self._before, self._edits = changed, []
        batch, n = self._last
        self.arrays, self._before_last = {}, self._before if n == 1 else None
        self._back()
        values = self._feed(batch, n, [])
        self._loss, self.differed = values['total_loss_sum'], False
        return values

    def _back(self):
        """To where the last steps began."""
        self._graph.write(self._sess, self._before)
        self._graph.state.begin_loop(self._sess)

    def _feed(self, first, n, items, before_last=lambda: None, options=None, metadata=None):
        """Steps that are fed their batches; `items`, options and metadata are of the last.

        The gradients are fetched of all, whoever wants them: one graph less to optimize.
        """
        gradients = self._names.all('grad')
        for number, batch in enumerate(self._read_batches(first, n), 1):
            if number < n:
                self._step(gradients, batch)
                continue
            before_last()
            return self._step(items or gradients, batch, options, metadata)

    def fetch(self, items):
        """{name: array} of the last step: activations, gradients and tensors as it computed them,
        variables as they are now.
        """
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
            self._run_again(self._names.all('grad'))
        return {i.name: self._before_last[i.source.op.name] for i in items}

    def _run_again(self, items):
        """Fetches of the last step by running it again; all variables are then as they were."""

        def before_last():
            if self._before_last is None:
                self._before_last = self._graph.read(self._sess)

        now, (batch, n) = self._graph.read(self._sess), self._last
        try:
            self._back()
            values = self._feed(batch, n, items, before_last)
            self.differed = self.differed or not _same(values['total_loss_sum'], self._loss)
        finally:
            self._graph.write(self._sess, now)

    def _step(self, items, batch=None, options=None, metadata=None):
        """One step on the run's own input, or on a batch that it is fed."""
        values, arrays = self._graph.run_step(
            self._sess, {i.name: i.source for i in self._whole_set(items)}, batch, options, metadata
        )
        self.arrays.update(arrays)
        return values

    def _whole_set(self, items):
        """Items to fetch for `items`: gradients, or with them the activations, which take far more
        memory; tensors are added.
        """
        kinds = {i.kind for i in items}
        whole = self._names.all('grad') if 'grad' in kinds else []
        if kinds & {'act', 'step'}:
            whole = self._names.all('step') + self._names.all('act') + self._names.all('grad')
        return whole + [i for i in items if i.kind == 'tensor']

    def edit(self, variable, change):
        """Sets a variable to change(its value), now and where the last steps are repeated."""
        name = variable.op.name
        self._graph.write(self._sess, {name: change(self._sess.run(variable))})
        self._edits.append((name, change))

    def rewind(self):
        """After a NaN that halted the run: the next step takes its batch again."""
        self._graph.write(self._sess, {self._graph.state.halted.op.name: 0.0})


def _same(one, other):
    return one == other or (one != one and other != other)
