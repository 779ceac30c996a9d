"""Two dumps compared, tensor by tensor in the order of the graph: where does one first differ from
the other?
"""

import collections
import math
import os

import numpy as np

from mobilenet import patterns
from mobilenet.comparison import dump_files, dump_reader, statistics
from mobilenet.errors import UsageError

TOLERANCE = 1e-4
OTHER_LAYOUT = 'as many elements: another layout, convert it to NHWC (msaccucmp.py convert -f NHWC)'

OtherShape = collections.namedtuple('OtherShape', 'step a b hint')


class Result:
    """rows: [Row] by step, then in order of the graph; only_in_a, only_in_b: [Entry]; other_shape:
    [OtherShape]; steps_only_in_a, steps_only_in_b: step numbers; problems: files left out, notes:
    what else to know, a line each.
    """

    def __init__(self, tolerance):
        self.tolerance = tolerance
        self.rows, self.only_in_a, self.only_in_b, self.other_shape = [], [], [], []
        self.steps_only_in_a, self.steps_only_in_b, self.problems, self.notes = [], [], [], []

    @property
    def first(self):
        """The first Row that differs, of the earliest step; None if none does."""
        return next((row for row in self.rows if row.differs), None)

    @property
    def agrees(self):
        """Whether all tensors are on both sides, could be read and are within the tolerance."""
        return self.first is None and not any(
            (
                self.only_in_a,
                self.only_in_b,
                self.other_shape,
                self.steps_only_in_a,
                self.steps_only_in_b,
                self.problems,
            )
        )


class Row:
    """A pair of tensors. a, b: Entries; figures: of statistics.compare(a, b).

    distance: what is held against the tolerance: RelativeEuclideanDistance, or MaxAbsoluteError
    where the golden is all zero; equal: the same bits (and so the same dtype); differs: see
    `compare`.
    """

    def __init__(self, step, a, b, tolerance):
        self.step, self.a, self.b = step, a, b
        self.known = (
            b if b.indexed and not a.indexed else a
        )  # the side that tells where in the graph this is
        array, golden = a.load(), b.load()
        self.figures = statistics.compare(array, golden)
        zero = statistics.all_zero(golden)
        self.distance = self.figures['MaxAbsoluteError' if zero else 'RelativeEuclideanDistance']
        self.equal = array.dtype == golden.dtype and _same_bits(array, golden)
        self.differs = not self.equal and _differs(
            array, golden, self.figures, self.distance, tolerance
        )

    @property
    def verdict(self):
        return 'equal' if self.equal else 'differs' if self.differs else 'within'

    @property
    def all_finite(self):
        return self.figures['NonFiniteA'] == self.figures['NonFiniteB'] == 0


def compare(a_folder, b_folder, tolerance=TOLERANCE, pattern=None):
    """Compares the dumps under `a_folder` with the golden ones under `b_folder`; gives a Result.

    Floating-point tensors differ where RelativeEuclideanDistance is above `tolerance`, or where NaN
    and infinities are not the same in the same places; where the golden is all zero,
    MaxAbsoluteError is held against it. Integers and bools differ with any difference. The default
    of 1e-4 lies between the noise of float32 from build to build (another order of sums: about 1e-5
    in a layer) and one rounding to float16 (about 3e-4). Noise adds up along the network: from
    build to build it is about 1e-3 at the end of MobileNetV1 on small batches.

    Steps are paired by number. A single dump whose step is not known goes with the single one of
    the other side, and so do two folders that are themselves a dump, whatever their steps. In a
    step two dumps with an index are paired by our names of tensors, others by op name as file names
    have it and output; several files of the same, in order of time. pattern: only tensors whose
    layer, name or op matches it, as file names match. Raises UsageError where a folder holds no
    dump, no step is on both sides, or `pattern` fits nothing.
    """
    result = Result(tolerance)
    a_steps, b_steps = (
        dump_reader.read(folder, result.problems) for folder in (a_folder, b_folder)
    )
    pairs = _step_pairs(a_folder, b_folder, a_steps, b_steps, result.notes)
    if not pairs:
        raise UsageError(
            f'no step is in both: {a_folder} has {_listed(a_steps)}, {b_folder} has '
            f'{_listed(b_steps)} (give the folders of the two steps)'
        )
    result.steps_only_in_a = _others(a_steps, [a for a, _ in pairs])
    result.steps_only_in_b = _others(b_steps, [b for _, b in pairs])
    for a_step, b_step in pairs:
        _compare_step(
            a_steps[a_step],
            b_steps[b_step],
            a_step if a_step is not None else b_step,
            pattern,
            result,
        )
    if pattern and not any((result.rows, result.only_in_a, result.only_in_b, result.other_shape)):
        raise UsageError(f'no tensor is of a layer, name or op that matches {pattern!r}')
    return result


def _step_pairs(a_folder, b_folder, a_steps, b_steps, notes):
    pairs = [(step, step) for step in sorted(set(a_steps) & set(b_steps), key=_step_order)]
    if pairs or len(a_steps) > 1 or len(b_steps) > 1:
        return pairs
    (a, a_entries), (b, b_entries) = *a_steps.items(), *b_steps.items()
    if a is not None and b is not None:
        if not (_directly_in(a_folder, a_entries) and _directly_in(b_folder, b_entries)):
            return []
        notes.append(f'step {a} of the one is compared with step {b} of the other')
    return [(a, b)]


def _step_order(step):
    return -1 if step is None else step


def _directly_in(folder, entries):
    return all(os.path.dirname(entry.path) == os.path.abspath(folder) for entry in entries)


def _others(steps, paired):
    return sorted(set(steps) - set(paired), key=_step_order)


def _listed(steps):
    known = sorted(steps, key=_step_order)
    text = ', '.join('one without a number' if step is None else str(step) for step in known[:10])
    return 'step{} {}{}'.format(
        's' if len(known) > 1 else '', text, ', ...' if len(known) > 10 else ''
    )


def _compare_step(a_entries, b_entries, step, pattern, result):
    pairs, only_in_a, only_in_b = _pair(a_entries, b_entries)
    result.only_in_a.extend(entry for entry in only_in_a if _matches(pattern, entry))
    result.only_in_b.extend(entry for entry in only_in_b if _matches(pattern, entry))
    for a, b in pairs:
        if not _matches(pattern, a, b):
            continue
        if a.shape != b.shape:
            hint = OTHER_LAYOUT if np.prod(a.shape) == np.prod(b.shape) else ''
            result.other_shape.append(OtherShape(step, a, b, hint))
            continue
        try:
            result.rows.append(Row(step, a, b, result.tolerance))
        except ValueError as error:  # changed since its head was read
            result.problems.append(f'{a.path} or {b.path}: {error}')


def _matches(pattern, *entries):
    return not pattern or any(
        patterns.matches(text, pattern)
        for entry in entries
        for text in (entry.layer, entry.name, entry.op)
    )


def _pair(a_entries, b_entries):
    """([(a, b)] in order of the graph, [a without a partner], [b without a partner])."""
    by_name = all(entry.indexed for entry in a_entries) and all(
        entry.indexed for entry in b_entries
    )
    a_groups, b_groups = _grouped(a_entries, by_name), _grouped(b_entries, by_name)
    pairs, only_in_a, only_in_b = [], [], []
    for key, group in a_groups.items():
        partners = b_groups.get(key, [])
        pairs += zip(group, partners)
        only_in_a += group[len(partners) :]
    for key, group in b_groups.items():
        only_in_b += group[len(a_groups.get(key, [])) :]
    # Without an index only times tell the order, and one dump of golden files has the same time in
    # all its names.
    by_a = len({entry.timestamp for entry in a_entries}) >= len(
        {entry.timestamp for entry in b_entries}
    )
    pairs.sort(key=lambda pair: _order(*(pair if by_a else pair[::-1])))
    return pairs, only_in_a, only_in_b


def _grouped(entries, by_name):
    groups = collections.OrderedDict()
    for entry in entries:
        key = (
            entry.name
            if by_name
            else (entry.direction, dump_files.file_op_name(entry.op), entry.output)
        )
        groups.setdefault(key, []).append(entry)
    return groups  # of the same key in order of time, as they are read


def _order(entry, other):
    positions = (e.position for e in (entry, other) if e.position is not None)
    return next(positions, math.inf), entry.timestamp, entry.path


def _same_bits(a, b):
    return np.array_equal(*(np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b)))


def _differs(a, b, found, distance, tolerance):
    if a.dtype.kind in 'biu' and b.dtype.kind in 'biu':
        return not np.array_equal(a, b)
    if (found['NonFiniteA'] or found['NonFiniteB']) and not statistics.same_non_finite(a, b):
        return True
    return not distance <= tolerance  # a NaN differs
