#!/usr/bin/env python3
"""Draws runs over each other: loss, accuracy, learning rate, loss scale, skipped steps, images/s.

    python scripts/plot_run.py results/train
    python scripts/plot_run.py results/a results/b --output compare.png

Reads metrics.jsonl and eval.jsonl of each folder; evaluations stand on the axis of the training
accuracy. Writes a PNG and, beside it, one HTML page that needs no other file.
"""

import html
import io
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mobilenet import flag_types, fonts, json_files, text
from mobilenet.errors import UsageError
from scripts import tool

# Title, key of metrics.jsonl, whether the axis is logarithmic.
PANELS = (
    ('loss', 'loss', False),
    ('accuracy', 'accuracy', False),
    ('learning rate', 'learning_rate', False),
    ('loss scale', 'loss_scale', True),
    ('skipped steps', 'skipped_steps', False),
    ('images/s', 'images_per_sec', False),
)
LONGEST_NAME = 40
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }}
h1 {{ font-size: 1.3em; overflow-wrap: anywhere }}
svg {{ width: 100%; height: auto }}
.plots {{ display: grid; gap: .5em }}
.plots {{ grid-template-columns: repeat(auto-fit, minmax(min(100%, 27em), 1fr)) }}
.table {{ overflow-x: auto }}
table {{ border-collapse: collapse }}
td, th {{ padding: .2em .6em; text-align: right; border-bottom: 1px solid #ddd }}
th {{ white-space: nowrap }}
td:first-child, th:first-child {{ text-align: left; min-width: 9em }}
</style>
<h1>{title}</h1>
<div class="plots">
{plots}
</div>
<div class="table"><table>
<tr><th>run</th><th>step</th><th>epoch</th><th>loss</th><th>accuracy</th><th>images/s (median)</th>
<th>skipped</th><th>best top-1</th><th>at step</th></tr>
{rows}
</table></div>
</html>
"""


def parse():
    parser = flag_types.Parser(prog='plot_run.py', description=__doc__.split('\n\n')[0])
    parser.add_argument('runs', nargs='+', metavar='DIR', help='folder of a run (--train_dir)')
    parser.add_argument('--output', metavar='FILE.png', help='default DIR/run.png of the first run')
    args = parser.parse_args()
    if args.output is None:
        args.output = os.path.join(args.runs[0], 'run.png')
    else:
        tool.check_output(args.output, '--output', '.png')
    return args


def lines_of(path, needed):
    """The JSON objects of a file that have numbers under all `needed` keys; others are left out."""
    entries = []
    if os.path.exists(path):
        for _, line in text.read_lines(path, limit=1 << 30):
            entry = json_files.parse_object(line)
            if all(_is_number(entry.get(key)) for key in needed):
                entries.append(entry)
    return entries


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Run:
    """The lines of one folder. Raises UsageError where there are none."""

    def __init__(self, folder):
        self.name = text.printable(os.path.basename(os.path.abspath(folder)))
        self.metrics = lines_of(os.path.join(folder, 'metrics.jsonl'), ['step'])
        evaluations = lines_of(os.path.join(folder, 'eval.jsonl'), ['step', 'top1'])
        by_step = {entry['step']: entry for entry in evaluations}  # the last of each
        self.evaluations = [by_step[step] for step in sorted(by_step)]
        if not self.metrics and not self.evaluations:
            what = 'no metrics.jsonl or eval.jsonl with lines in it'
            raise UsageError(f'{folder}: {what if os.path.isdir(folder) else "no such folder"}')

    def series(self, key):
        """(steps, values) of the lines that have a number there."""
        found = [(e['step'], e[key]) for e in self.metrics if _is_number(e.get(key))]
        return [s for s, _ in found], [v for _, v in found]

    def row(self):
        """The cells of the page's table."""
        last = self.metrics[-1] if self.metrics else {}
        best = max(self.evaluations, key=lambda e: e['top1'], default={})
        speed = sorted(self.series('images_per_sec')[1])
        speed = speed[len(speed) // 2] if speed else None
        values = (last.get('epoch'), last.get('loss'), last.get('accuracy'), speed)
        return [
            self.name,
            last.get('step', ''),
            *[f'{v:.4g}' if _is_number(v) else '' for v in values],
            last.get('skipped_steps', ''),
            f'{best["top1"]:.4f}' if best else '',
            best.get('step', ''),
        ]


def prepare(runs):
    """matplotlib's pyplot, for files, with a font for the runs' names."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    fonts.use_for([run.name for run in runs])
    return pyplot


def draw(runs):
    """A matplotlib figure of all panels."""
    figure, axes = prepare(runs).subplots(3, 2, figsize=(12, 10), sharex=True)
    for panel, axis in zip(PANELS, axes.flat):
        draw_panel(axis, runs, *panel)
    for axis in axes[-1]:
        axis.set_xlabel('step (global_step)')
    figure.tight_layout()
    return figure


def draw_panel(axis, runs, title, key, logarithmic):
    for number, run in enumerate(runs):
        steps, values = run.series(key)
        marker = '.' if len(steps) < 3 else None
        style = {'color': f'C{number}', 'label': fonts.plain(run.name, LONGEST_NAME)}
        # Wide below narrow: of lines that are the same, all are seen.
        width = 1.5 + min(len(runs) - 1 - number, 4)
        axis.plot(steps, values, marker=marker, linewidth=width, **style)
        if key == 'accuracy' and run.evaluations:
            points = [(e['step'], e['top1']) for e in run.evaluations]
            style['label'] += ', evaluated (top-1)'
            axis.plot(*zip(*points), 'o--', **style)
    axis.set_title(title)
    axis.grid(alpha=0.3)
    if logarithmic:
        axis.set_yscale('log', base=2)
    if key == 'skipped_steps':
        top = max([1, *axis.get_ylim()])
        axis.set_ylim(-0.05 * top, top)  # a line at 0 is seen
        axis.yaxis.get_major_locator().set_params(integer=True)
    if key in ('loss', 'accuracy') and axis.lines:
        axis.legend(fontsize='small')


def svg_of(runs, panel):
    """A panel by itself, to be put into a page."""
    pyplot = prepare(runs)
    figure, axis = pyplot.subplots(figsize=(6, 3.6))
    draw_panel(axis, runs, *panel)
    axis.set_xlabel('step (global_step)')
    figure.tight_layout()
    drawn = io.StringIO()
    figure.savefig(drawn, format='svg')
    pyplot.close(figure)
    svg = drawn.getvalue()
    return svg[svg.index('<svg') :]


def page(runs):
    """The HTML page: the panels as SVG, side by side where there is room, and a row a run."""
    rows = '\n'.join(
        '<tr>' + ''.join(f'<td>{html.escape(str(c))}</td>' for c in run.row()) + '</tr>'
        for run in runs
    )
    title = html.escape(', '.join(run.name for run in runs))
    plots = '\n'.join(svg_of(runs, panel) for panel in PANELS)
    return PAGE.format(title=title, plots=plots, rows=rows)


def main():
    args = parse()
    runs = [Run(folder) for folder in args.runs]
    figure = draw(runs)
    figure.savefig(args.output, dpi=100)
    path = args.output[: -len('.png')] + '.html'
    text.write_text(path, page(runs))
    for run in runs:
        to = f' to step {run.metrics[-1]["step"]}' if run.metrics else ''
        print(f'{run.name}: {len(run.metrics)} loops{to}, {len(run.evaluations)} evaluations')
    print(f'wrote {args.output} and {path}')


if __name__ == '__main__':
    tool.run(main)
