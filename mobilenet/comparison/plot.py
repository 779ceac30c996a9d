"""The distances of two dumps along the network's depth, as an SVG picture without any library.

x: the tensors of one step in order of the graph, with the names of the layers. y: log10 of the
distance (circles) and of 1 - CosineSimilarity (triangles). Two lines of their own are for what has
no logarithm: 0 at the bottom, and at the top NaN and infinities that are not the same on both
sides. The colours (Okabe and Ito's) keep apart with any eyes.
"""

import collections
import itertools
import math
from xml.sax.saxutils import escape, quoteattr

LEFT, RIGHT, TOP, BOTTOM = 78, 24, 58, 172
DECADE_HEIGHT, LEAST_WIDTH, WIDEST = 26, 760, 4000
TICK_WIDTH, POINT_WIDTH = 13, 4  # least pixels between names of layers, and between points
KINDS = {
    'act': 'activations',
    'grad': 'gradients',
    'weight': 'variables',
    'ema': 'averages',
    'slot': 'slots',
}
NOISE = 1e-15  # 1 - CosineSimilarity below that is float64's own rounding
BLUE, ORANGE, RED, GREY = '#0072b2', '#e69f00', '#d55e00', '#6b7280'

# Where things are. x: of each row; ticks: [(x, name)]; low, high: decades of the lowest and the
# highest line.
_Frame = collections.namedtuple('_Frame', 'x ticks width low high height not_finite')


def svg(rows, tolerance, title):
    """An <svg> element of the Rows of one step, at least one; the first that differs is marked."""
    frame = _frame(rows, tolerance)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" width="{frame.width:.0f}" '
        f'height="{frame.height + TOP + BOTTOM:.0f}" '
        f'viewBox="0 0 {frame.width:.0f} {frame.height + TOP + BOTTOM:.0f}" '
        'font-family="system-ui, sans-serif" font-size="11" role="img">',
        f'<title>{escape(title)}</title>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    parts += _phases(rows, frame) + _y_axis(frame) + _x_axis(frame)
    y = _y(tolerance, frame)
    parts.append(
        _line(LEFT, y, frame.width - RIGHT, y, RED, 'class="tolerance" stroke-dasharray="6 4"')
    )
    first = next((row for row in rows if row.differs), None)
    if first is not None:
        parts += _mark(frame.x[rows.index(first)], first.known.name, frame)
    parts += _paths(rows, frame) + _points(rows, frame) + _legend(tolerance)
    return '\n'.join(parts + ['</svg>'])


def _cosine_distance(row):
    value = 1 - row.figures['CosineSimilarity']
    return 0.0 if row.equal or value < NOISE else value


def _distance(row):
    return 0.0 if row.equal else row.distance


def _frame(rows, tolerance):
    values = [
        v for row in rows for v in (_distance(row), _cosine_distance(row)) if 0 < v < math.inf
    ] + [tolerance]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 0.5)
    not_finite = any(_is_not_finite(row) for row in rows)
    x, ticks, width = _columns(rows)
    return _Frame(
        x, ticks, width, low, high, (high - low + 1 + not_finite) * DECADE_HEIGHT, not_finite
    )


def _is_not_finite(row):
    return (row.differs and not row.all_finite) or not row.distance < math.inf


def _columns(rows):
    """Points stand close within a layer; a layer's first has room for its name, if they are not too
    many.
    """
    names = [row.known.layer or row.known.name for row in rows]
    runs = [(name, _kind(row) == 'grad') for name, row in zip(names, rows)]
    starts = {i for i, run in enumerate(runs) if i == 0 or run != runs[i - 1]}
    room = TICK_WIDTH * min(1.0, WIDEST / (TICK_WIDTH * len(starts)))
    x, ticks, started = [], [], -math.inf
    for i, name in enumerate(names):
        here = x[-1] + min(POINT_WIDTH, room) if x else LEFT + 14.0
        if i in starts:
            here = max(here, started + room)
            started = here
            if not ticks or here - ticks[-1][0] >= TICK_WIDTH - 0.01:
                ticks.append((here, name))
        x.append(here)
    stretch = max(1.0, (LEAST_WIDTH - LEFT - RIGHT - 28) / max(x[-1] - x[0], 1.0))
    moved = [x[0] + (value - x[0]) * stretch for value in x]
    ticks = [(x[0] + (value - x[0]) * stretch, name) for value, name in ticks]
    return moved, ticks, max(moved[-1] + 14 + RIGHT, LEAST_WIDTH)


def _y(value, frame):
    """Pixels from the top. 0 has a line below the decades; what is not finite has one above."""
    decades = (
        frame.high - math.log10(value)
        if 0 < value < math.inf
        else frame.high - frame.low + 1
        if value == 0
        else -1
    )
    return TOP + (decades + frame.not_finite) * DECADE_HEIGHT


def _y_axis(frame):
    lines = [(float(f'1e{d}'), f'1e{d}') for d in range(frame.low, frame.high + 1)] + [(0.0, '0')]
    if frame.not_finite:
        lines.append((math.inf, 'not finite'))
    parts = []
    for value, name in lines:
        y = _y(value, frame)
        parts += [
            _line(
                LEFT,
                y,
                frame.width - RIGHT,
                y,
                '#d1d5db' if 0 < value < math.inf else '#9ca3af',
                f'class="decade" data-value="{value!r}"',
            ),
            _text(LEFT - 8, y + 4, name, 'end', '#374151'),
        ]
    middle = TOP + frame.height / 2
    return parts + [
        f'<text transform="translate(16 {middle:.1f}) rotate(-90)" text-anchor="middle" '
        'fill="#111827">'
        'difference of A from B (log scale)</text>'
    ]


def _x_axis(frame):
    bottom = TOP + frame.height
    parts = []
    for x, name in frame.ticks:
        short = name if len(name) <= 22 else '\u2026' + name[-21:]
        parts += [
            _line(x, bottom, x, bottom + 5, GREY),
            f'<text transform="translate({x + 3.5:.1f} {bottom + 9:.1f}) rotate(-90)" '
            'text-anchor="end" font-size="10" '
            f'fill="#374151">{escape(short)}</text>',
        ]
    label = 'tensors in order of the graph, by layer \u2192'
    return parts + [_text(LEFT, bottom + BOTTOM - 8, label, 'start', '#111827')]


def _phases(rows, frame):
    """Names over runs of a kind, and a tint behind the gradients: their order is from the last
    layer to the first.
    """
    parts = []
    for kind, run in itertools.groupby(range(len(rows)), key=lambda i: _kind(rows[i])):
        run = list(run)
        left, right = frame.x[run[0]] - 5, frame.x[run[-1]] + 5
        if kind == 'grad':
            parts.append(
                f'<rect x="{left:.1f}" y="{TOP - 18}" width="{right - left:.1f}" '
                f'height="{frame.height + 18:.1f}" fill="#eef2f7"/>'
            )
        if kind and right - left > 70:
            parts.append(_text(left + 4, TOP - 7, KINDS[kind], 'start', GREY))
    return parts


def _kind(row):
    kind, colon, _ = row.known.name.partition(':')
    return kind if colon and kind in KINDS else ''


def _mark(x, name, frame):
    anchor, shift = ('end', -6) if x > frame.width * 0.6 else ('start', 6)
    return [
        _line(x, TOP - 18, x, TOP + frame.height, RED, 'class="first" stroke-width="1.5"'),
        _text(x + shift, TOP - 22, 'first to differ: ' + name, anchor, RED, 'font-weight="bold"'),
    ]


def _paths(rows, frame):
    """Lines that join activations, and gradients; variables lie between and have none."""
    parts = []
    for kind in ('act', 'grad'):
        for measure, colour in ((_distance, BLUE), (_cosine_distance, ORANGE)):
            points = ' '.join(
                f'{x:.1f},{_y(measure(row), frame):.1f}'
                for x, row in zip(frame.x, rows)
                if _kind(row) == kind and measure(row) < math.inf
            )
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-opacity="0.35"/>'
            )
    return parts


def _points(rows, frame):
    parts = []
    for x, row in zip(frame.x, rows):
        title = '<title>{}</title>'.format(
            escape(
                f'{row.known.name}: distance {_distance(row):.3g}, 1 - cosine '
                f'{_cosine_distance(row):.3g}, {row.verdict}'
            )
        )
        name = f'data-name={quoteattr(row.known.name)} '
        shade = 1 if row.differs else 0.35
        if _cosine_distance(row) < math.inf:  # none where one side is all zero
            parts.append(
                f'<path {name}class="cosine" d="M{x:.1f} '
                f'{_y(_cosine_distance(row), frame) - 4.2:.1f}l3.6 6.4h-7.2z" fill="{ORANGE}" '
                f'fill-opacity="{shade}">{title}'
                '</path>'
            )
        parts.append(
            f'<circle {name}class="distance" cx="{x:.1f}" cy="{_y(_distance(row), frame):.1f}" '
            f'r="3" fill="{BLUE}" fill-opacity="{shade}">{title}'
            '</circle>'
        )
        if _is_not_finite(row):
            parts.append(
                f'<path {name}class="not_finite" d="M{x - 3.5:.1f} '
                f'{_y(math.inf, frame) - 3.5:.1f}l7 7m0 -7l-7 7" stroke="#111827" '
                f'stroke-width="1.8">{title}</path>'
            )
    return parts


def _legend(tolerance):
    y = 14
    return [
        f'<circle cx="{LEFT + 4}" cy="{y}" r="4" fill="{BLUE}"/>',
        _text(LEFT + 14, y + 4, 'RelativeEuclideanDistance', 'start', '#111827'),
        f'<path d="M{LEFT + 184} {y - 4}l4 7h-8z" fill="{ORANGE}"/>',
        _text(LEFT + 194, y + 4, '1 - CosineSimilarity', 'start', '#111827'),
        _line(LEFT + 328, y, LEFT + 350, y, RED, 'stroke-dasharray="6 4"'),
        _text(LEFT + 356, y + 4, f'tolerance {tolerance:g}', 'start', '#111827'),
        _text(LEFT + 460, y + 4, 'pale: within it; 0: equal', 'start', GREY),
    ]


def _line(x1, y1, x2, y2, colour, more=''):
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'
    )


def _text(x, y, text, anchor, colour, more=''):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" {more}>'
        f'{escape(text)}</text>'
    )
