#!/usr/bin/env python3
"""Draws runs over each other: loss, accuracy, learning rate, loss scale, skipped steps, images/s.

    python scripts/plot_run.py results/train
    python scripts/plot_run.py results/a results/b --output compare.png

Reads metrics.jsonl and eval.jsonl of each folder; evaluations stand on the axis of the training
accuracy. Writes a PNG and, beside it, one HTML page that needs no other file.
"""

import html
import io
import math
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
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }}
svg {{ width: 100%; height: auto }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse }}
td, th {{ padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd }}
td:first-child, th:first-child {{ text-align: left }}
</style>
<h1>{title}</h1>
{plot}
<div><table>
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
    args.output = args.output or os.path.join(args.runs[0], 'run.png')
    if not args.output.endswith('.png'):
        raise UsageError(f'--output={args.output}: the name has to end with .png')
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
            raise UsageError(f'{folder}: no metrics.jsonl or eval.jsonl with lines in it')

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


def draw(runs):
    """A matplotlib figure."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    fonts.use_for([run.name for run in runs])
    figure, axes = pyplot.subplots(3, 2, figsize=(12, 10), sharex=True)
    for (title, key, logarithmic), panel in zip(PANELS, axes.flat):
        for number, run in enumerate(runs):
            steps, values = run.series(key)
            marker = '.' if len(steps) < 3 else None
            panel.plot(
                steps, values, color=f'C{number}', marker=marker, label=fonts.plain(run.name)
            )
            if key == 'accuracy' and run.evaluations:
                points = [(e['step'], e['top1']) for e in run.evaluations]
                label = f'{fonts.plain(run.name)}, evaluated (top-1)'
                panel.plot(*zip(*points), 'o--', color=f'C{number}', label=label)
        panel.set_title(title)
        panel.grid(alpha=0.3)
        if logarithmic:
            panel.set_yscale('log', base=2)
        if key in ('loss', 'accuracy') and panel.lines:
            panel.legend(fontsize='small')
    for panel in axes[-1]:
        panel.set_xlabel('step (global_step)')
    figure.tight_layout()
    return figure


def page(figure, runs):
    """The HTML page: the figure as SVG, and a row a run."""
    drawn = io.StringIO()
    figure.savefig(drawn, format='svg')
    svg = drawn.getvalue()
    rows = '\n'.join(
        '<tr>' + ''.join(f'<td>{html.escape(str(c))}</td>' for c in run.row()) + '</tr>'
        for run in runs
    )
    title = html.escape(', '.join(run.name for run in runs))
    return PAGE.format(title=title, plot=svg[svg.index('<svg') :], rows=rows)


def main():
    args = parse()
    runs = [Run(folder) for folder in args.runs]
    figure = draw(runs)
    figure.savefig(args.output, dpi=100)
    path = args.output[: -len('.png')] + '.html'
    text.write_text(path, page(figure, runs))
    for run in runs:
        last = run.metrics[-1] if run.metrics else {'step': math.nan}
        print(f'{run.name}: {len(run.metrics)} loops to step {last["step"]}, ', end='')
        print(f'{len(run.evaluations)} evaluations')
    print(f'wrote {args.output} and {path}')


if __name__ == '__main__':
    tool.run(main)
