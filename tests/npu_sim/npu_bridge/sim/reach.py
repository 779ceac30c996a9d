"""Who comes before whom among the ops of a run, by data and control edges."""


class Order:
    """A topological order of `ops` (a set without loops), with the ancestors of each."""

    def __init__(self, ops):
        self.ops = _sorted(ops)
        self._index = {op: i for i, op in enumerate(self.ops)}
        self._ancestors = []
        for op in self.ops:
            bits = 0
            for before in _before(op, self._index):
                bits |= self._ancestors[self._index[before]] | 1 << self._index[before]
            self._ancestors.append(bits)

    def precedes(self, first, second):
        """Whether `first` has run when `second` runs, whatever the scheduling."""
        return bool(self._ancestors[self._index[second]] >> self._index[first] & 1)

    def ancestors(self, op):
        return self._chosen(self._ancestors[self._index[op]])

    def descendants(self, op):
        bit = 1 << self._index[op]
        return [other for other, bits in zip(self.ops, self._ancestors) if bits & bit]

    def _chosen(self, bits):
        return [op for i, op in enumerate(self.ops) if bits >> i & 1]


def has_loops(ops):
    return any(op.type == 'NextIteration' for op in ops)


def _before(op, known):
    return [o for o in {t.op for t in op.inputs}.union(op.control_inputs) if o in known]


def _sorted(ops):
    done, order = set(), []
    for root in sorted(ops, key=lambda op: op.name):
        stack = [root]
        while stack:
            op = stack[-1]
            waiting = [o for o in _before(op, ops) if o not in done]
            if op in done or not waiting:
                stack.pop()
                if op not in done:
                    done.add(op)
                    order.append(op)
            else:
                stack.extend(waiting)
    return order
