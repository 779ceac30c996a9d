"""What a comparison of dumps found, as lines of text and as CSV."""

import collections
import csv
import os

from mobilenet import text
from mobilenet.comparison import statistics

FIRST_ROWS = 20
FIRST_MISSING = 10
JUMP = 3  # times the distance before: less is growth
_FACTS = (
    'step',
    'verdict',
    'layer',
    'name',
    'op',
    'output',
    'type',
    'shape',
    'dtype_a',
    'dtype_b',
    'distance',
)
_SHORT = collections.OrderedDict(
    [
        ('RelativeEuclideanDistance', 'RelEuclid'),
        ('MaxAbsoluteError', 'MaxAbs'),
        ('MeanAbsoluteError', 'MeanAbs'),
        ('RootMeanSquareError', 'RMSE'),
        ('MaxRelativeError', 'MaxRel'),
    ]
)
COLUMNS = _FACTS + statistics.NAMES + ('NonFiniteA', 'NonFiniteB', 'source', 'file_a', 'file_b')


def lines(result, show_all=False):
    """The comparison as lines: the first tensor that differs and the ops before it, a table, what
    is on one side only.

    The table has the differing rows, at most 20, or all rows of the comparison with `show_all`.
    """
    found = first_lines(result) + ['']
    differing = [row for row in result.rows if row.differs]
    shown = result.rows if show_all else differing[:FIRST_ROWS]
    if shown:
        found += _table(shown)
        if len(shown) < len(differing):
            found.append(
                f'... and {len(differing) - len(shown)} more that differ (--all shows all rows)'
            )
        found.append('')
    found.append(summary(result))
    return (
        found
        + _missing(result, None if show_all else FIRST_MISSING)
        + ['note: ' + note for note in result.notes]
    )


def summary(result):
    """The counts, in one line."""
    equal, differing = (
        sum(row.equal for row in result.rows),
        sum(row.differs for row in result.rows),
    )
    return (
        f'{len(result.rows)} pairs: {differing} differ, {len(result.rows) - equal - differing} '
        f'within tolerance {result.tolerance:g}, {equal} equal bit for bit; '
        f'{len(result.only_in_a)} only in A, {len(result.only_in_b)} only in B, '
        f'{len(result.other_shape)} of another shape'
    )


def first_lines(result):
    """Names the first tensor that differs, why, and the ops before it."""
    row = result.first
    if row is None:
        return ['no tensor differs' if result.rows else 'no tensor is on both sides']
    known = row.known
    facts = [
        'first to differ: ' + known.name,
        'layer ' + known.layer if known.layer else '',
        'op {}{}'.format(known.op, ' (' + known.type + ')' if known.type else ''),
        known.source,
        '' if row.step is None else f'step {row.step}',
    ]
    return (
        [', '.join(filter(None, facts)), '  ' + reason(row, result.tolerance)]
        + _slow_growth(row, result)
        + _ops_before(row, result)
    )


def reason(row, tolerance):
    """Why a row differs, in one line."""
    if row.a.dtype.kind in 'biu' and row.b.dtype.kind in 'biu':
        return 'whole numbers differ, by up to {:g}'.format(row.figures['MaxAbsoluteError'])
    if row.figures['NonFiniteA'] != row.figures['NonFiniteB']:
        return '{NonFiniteA} values are not finite in A, {NonFiniteB} in B'.format(**row.figures)
    if row.distance <= tolerance:
        return '{} values are not finite, in other places in A than in B'.format(
            row.figures['NonFiniteA']
        )
    if row.distance != row.figures['RelativeEuclideanDistance']:
        return f'MaxAbsoluteError {row.distance:.3g} where B is all zero, tolerance {tolerance:g}'
    return f'RelativeEuclideanDistance {row.distance:.3g}, tolerance {tolerance:g}'


def _slow_growth(row, result):
    """Says so where the tensor before was nearly as far: no op is to blame then."""
    before = last_right(row, result)
    if before is None or not before.distance or not row.distance < JUMP * before.distance:
        return []
    return [
        f'  nearly as far before it ({before.distance:.3g}): rounding adds up along the network, '
        'no one op; a larger --tolerance looks past it'
    ]


def _ops_before(row, result):
    """The ops between the tensors that are still right and this one."""
    before = last_right(row, result)
    right = f'{before.known.name} ({distance_text(before)})' if before else ''
    if not row.known.ops:
        return ['  the last right one before it: ' + right] if before else []
    found = [f'  ops between {right} and it:' if before else '  ops before it:'] + _op_lines(
        row.known.ops
    )
    for title, ops, others in (
        ('only in A', row.a.ops, row.b.ops),
        ('only in B', row.b.ops, row.a.ops),
    ):
        names = {op['op'] for op in others}
        extra = [op for op in ops if op['op'] not in names]
        if extra and names:  # without an index a side has none
            found += [f'  {title}:'] + _op_lines(extra)
    return found


def _op_lines(ops):
    width = max(len(op['type']) for op in ops)
    return [
        '    {:{}}  {}  {}'.format(op['type'], width, op['op'], op['source']).rstrip() for op in ops
    ]


def last_right(row, result):
    """The Row before `row` in its step; of a kind that is computed (not a weight) if there is
    one.
    """
    before = [r for r in result.rows[: result.rows.index(row)] if r.step == row.step]
    computed = [r for r in before if not r.known.name.startswith('weight:')]
    return (computed or before or [None])[-1]


def distance_text(row):
    if row.equal:
        return 'equal'
    return f'{row.distance:.3g}'


def _table(rows):
    with_step = any(row.step is not None for row in rows)
    head = (
        ['step'] * with_step
        + ['tensor', 'shape', 'Cosine']
        + list(_SHORT.values())
        + ['nonfinite', '']
    )
    body = []
    for row in rows:
        body.append(
            (['' if row.step is None else str(row.step)] if with_step else [])
            + [
                row.known.name,
                shape_text(row.a.shape),
                '{:.7f}'.format(row.figures['CosineSimilarity']),
            ]
            + [f'{row.figures[name]:.2e}' for name in _SHORT]
            + [
                '' if row.all_finite else '{NonFiniteA}/{NonFiniteB}'.format(**row.figures),
                row.verdict,
            ]
        )
    widths = [max(len(line[i]) for line in [head] + body) for i in range(len(head))]
    left = {'tensor', 'shape', ''}
    return [
        '  '.join(
            '{:{}{}}'.format(cell, '<' if name in left else '>', width)
            for name, cell, width in zip(head, line, widths)
        ).rstrip()
        for line in [head] + body
    ]


def shape_text(shape):
    return 'x'.join(map(str, shape)) or 'scalar'


def missing(result):
    """What could not be compared: [(title, [line])], without empty lists."""
    found = [
        (
            'of another shape',
            [
                '{}: {} in A, {} in B{}'.format(
                    where(o.a, o.step),
                    shape_text(o.a.shape),
                    shape_text(o.b.shape),
                    ' (' + o.hint + ')' if o.hint else '',
                )
                for o in result.other_shape
            ],
        )
    ]
    for side, entries, steps in (
        ('A', result.only_in_a, result.steps_only_in_a),
        ('B', result.only_in_b, result.steps_only_in_b),
    ):
        found.append(
            (
                'steps only in ' + side,
                ['without a number' if step is None else str(step) for step in steps],
            )
        )
        found.append(('only in ' + side, [where(entry, entry.step) for entry in entries]))
    found.append(('files left out', result.problems))
    return [(title, texts) for title, texts in found if texts]


def where(entry, step):
    return entry.name if step is None else f'{entry.name}, step {step}'


def _missing(result, limit):
    found = []
    for title, texts in missing(result):
        found.append(f'{title} ({len(texts)}):')
        found += ['  ' + text for text in texts[:limit]]
        if limit and len(texts) > limit:
            found.append(f'  ... and {len(texts) - limit} more')
    return found


def write_csv(path, result):
    """A line a pair with all figures, unrounded; then a line for each tensor that has no pair or
    another shape.
    """
    with text.open_text(path) as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        for row in result.rows:
            writer.writerow(
                _csv_line(
                    row.step, row.verdict, row.a, row.b, [row.distance] + list(row.figures.values())
                )
            )
        for other in result.other_shape:
            writer.writerow(_csv_line(other.step, 'other shape', other.a, other.b))
        for entry in result.only_in_a:
            writer.writerow(_csv_line(entry.step, 'only in A', entry, None))
        for entry in result.only_in_b:
            writer.writerow(_csv_line(entry.step, 'only in B', None, entry))


def _csv_line(step, verdict, a, b, numbers=None):
    known = b if a is None or (b is not None and b.indexed and not a.indexed) else a
    shapes = [shape_text(entry.shape) for entry in (a, b) if entry is not None]
    return (
        [
            '' if step is None else step,
            verdict,
            known.layer,
            known.name,
            known.op,
            known.output,
            known.type,
            '/'.join(sorted(set(shapes), key=shapes.index)),
            a.dtype.name if a else '',
            b.dtype.name if b else '',
        ]
        + ([repr(number) for number in numbers] if numbers else [''] * (3 + len(statistics.NAMES)))
        + [
            known.source,
            os.path.basename(a.path) if a else '',
            os.path.basename(b.path) if b else '',
        ]
    )
