"""A comparison of dumps as one HTML file that needs nothing else: plots along the network, a table,
what is missing.
"""

import html
import itertools

from mobilenet import text
from mobilenet.comparison import plot, report, statistics

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; color: #111827; margin: 2rem auto; max-width: 1500px;
  padding: 0 1.5rem; }
h1 { font-size: 1.4rem; margin-bottom: 0.2rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 0.4rem; }
p, pre { margin: 0.4rem 0; }
pre { background: #f3f4f6; padding: 0.8rem; overflow-x: auto; line-height: 1.35; }
.first { font-weight: 600; } .folders { color: #4b5563; }
.wide { overflow-x: auto; border: 1px solid #e5e7eb; } .wide svg { display: block; }
table { border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: #f3f4f6; cursor: pointer; text-align: right; }
th, td { padding: 0.2rem 0.55rem; border-bottom: 1px solid #e5e7eb; white-space: nowrap; }
td { text-align: right; } .text { text-align: left; }
tr.differs td { background: #fdf0e7; } tr.differs td.verdict { color: #a63d00; font-weight: 600; }
tr.equal td { color: #6b7280; }
.table { overflow: auto; max-height: 80vh; border: 1px solid #e5e7eb; }
"""
# Sorts by the column that is clicked on; shows the chosen step. Without scripts all is shown, in
# order of the graph.
_SCRIPT = """
document.querySelectorAll('th').forEach((head, column) => head.addEventListener('click', () => {
  const body = head.closest('table').tBodies[0], down = head.dataset.down !== '1';
  const key = row => {
    const cell = row.cells[column];
    return 'v' in cell.dataset ? +cell.dataset.v : cell.textContent; };
  const order = (a, b) => { const x = key(a), y = key(b);
    if (typeof x !== 'number') return x.localeCompare(y);
    return isNaN(x) ? (isNaN(y) ? 0 : 1) : isNaN(y) ? -1 : x - y; };
  const rows = [...body.rows].sort((a, b) => down ? order(b, a) : order(a, b));
  head.dataset.down = down ? '1' : '0';
  body.append(...rows);
}));
const choice = document.getElementById('step'), differing = document.getElementById('differing');
const show = () => { document.querySelectorAll('[data-step]').forEach(e => {
  e.hidden = (choice && choice.value !== '' && e.dataset.step !== choice.value)
    || (differing.checked && e.tagName === 'TR' && !e.classList.contains('differs')); }); };
if (choice) choice.addEventListener('change', show);
differing.addEventListener('change', show);
show();
"""
_FACTS = ('order', 'step', 'tensor', 'layer', 'op', 'shape', 'verdict')
_TEXT_COLUMNS = ('tensor', 'layer', 'op', 'shape', 'verdict')


def write(path, result, a_folder, b_folder):
    """Writes the page of a comparison.Result to `path`."""
    steps = [
        (step, list(rows))
        for step, rows in itertools.groupby(result.rows, key=lambda row: row.step)
    ]
    parts = [
        '<!DOCTYPE html>',
        '<html lang="en"><head><meta charset="utf-8"><title>Dumps compared: '
        f'{_escape(_headline(result))}</title>',
        f'<style>{_STYLE}</style></head><body>',
        '<h1>Two dumps compared</h1>',
        f'<p class="folders">A: {_escape(a_folder)} &middot; B (golden): {_escape(b_folder)}</p>',
        f'<p>{_escape(report.summary(result))}</p>',
    ]
    first = '\n'.join(report.first_lines(result))
    parts.append(f'<pre class="first_to_differ">{_escape(first)}</pre>')
    parts += [f'<p>{_escape(note)}</p>' for note in result.notes] + _step_choice(
        steps, result.first
    )
    for step, rows in steps:
        title = 'Differences along the network' + (f', step {step}' if step is not None else '')
        parts.append(
            f'<section data-step="{_number(step)}"><h2>{title}</h2><div '
            f'class="wide">{plot.svg(rows, result.tolerance, title)}</div></section>'
        )
    parts += _missing(result) + _table(result.rows) + [f'<script>{_SCRIPT}</script></body></html>']
    with text.open_text(path) as file:
        file.write('\n'.join(parts) + '\n')


def _escape(text):
    return html.escape(str(text))


def _number(step):
    return 'none' if step is None else step


def _headline(result):
    if result.first is not None:
        return f'{result.first.known.name} differs first'
    return 'no tensor differs' if result.rows else 'no tensor is on both sides'


def _step_choice(steps, first):
    """Which step's plot and rows are shown: at first the first that differs."""
    if len(steps) < 2:
        return []
    chosen = first.step if first is not None else steps[0][0]
    options = ['<option value="">all steps</option>'] + [
        '<option value="{0}"{1}>step {0}</option>'.format(
            _number(step), ' selected' if step == chosen else ''
        )
        for step, _ in steps
    ]
    return ['<p><label>Show <select id="step">{}</select></label></p>'.format(''.join(options))]


def _missing(result):
    parts = []
    for title, texts in report.missing(result):
        items = ''.join(f'<li>{_escape(text)}</li>' for text in texts)
        parts.append(
            f'<h2>{title.capitalize()} ({len(texts)})</h2><ul class="missing">{items}</ul>'
        )
    return parts


def _table(rows):
    heads = _FACTS + statistics.NAMES + ('NonFiniteA', 'NonFiniteB')
    parts = [
        '<h2>All pairs</h2><p><label><input type="checkbox" id="differing"> only those that '
        'differ</label> '
        '(a click on a head sorts)</p>',
        '<div class="table"><table><thead><tr>',
        ''.join(f'<th{_class(head)}>{head}</th>' for head in heads),
        '</tr></thead><tbody>',
    ]
    for number, row in enumerate(rows):
        known = row.known
        cells = [
            (number, number),
            (_number(row.step), _number(row.step)),
            known.name,
            known.layer,
            known.op,
            report.shape_text(row.a.shape),
            row.verdict,
        ]
        cells += [
            (repr(value), f'{value:.9f}' if name == 'CosineSimilarity' else f'{value:.3g}')
            for name, value in row.figures.items()
        ]
        parts.append(
            '<tr class="{}" data-step="{}">{}</tr>'.format(
                row.verdict,
                _number(row.step),
                ''.join(_cell(head, cell) for head, cell in zip(heads, cells)),
            )
        )
    return parts + ['</tbody></table></div>']


def _class(head):
    return (
        ' class="text{}"'.format(' verdict' if head == 'verdict' else '')
        if head in _TEXT_COLUMNS
        else ''
    )


def _cell(head, cell):
    if isinstance(cell, tuple):
        return '<td data-v="{}">{}</td>'.format(*cell)
    return f'<td{_class(head)}>{_escape(cell)}</td>'
