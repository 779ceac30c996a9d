"""Per-class accuracy and the confusion matrix of an evaluation, as CSV and PNG."""

import csv
import os
import warnings

import numpy as np

from mobilenet import text

TICKS = 40  # more classes than this have no names beside the picture


def matrix(labels, answers, num_classes):
    """int64 [num_classes, num_classes]: row is the label, column the answer."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, answers), 1)
    return counts


def write(folder, step, labels, answers, class_names, num_classes):
    """Writes per_class-STEP.csv, confusion-STEP.csv and confusion-STEP.png; gives their paths."""
    names = [text.printable(n) for n in class_names or map(str, range(num_classes))]
    counts = matrix(labels, answers, num_classes)
    paths = [
        os.path.join(folder, name.format(step))
        for name in ('per_class-{}.csv', 'confusion-{}.csv', 'confusion-{}.png')
    ]
    with text.open_text(paths[0], newline='') as f:
        rows = csv.writer(f)
        rows.writerow(['label', 'name', 'images', 'right', 'accuracy'])
        for i, name in enumerate(names):
            total, right = counts[i].sum(), counts[i, i]
            rows.writerow([i, name, total, right, f'{right / total:.6f}' if total else ''])
    with text.open_text(paths[1], newline='') as f:
        rows = csv.writer(f)
        rows.writerow(['label \\ answer'] + names)
        rows.writerows([[name] + list(row) for name, row in zip(names, counts)])
    draw(paths[2], counts, names, step)
    return paths


def draw(path, counts, names, step):
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(4 + 0.25 * len(names), 12)
    figure, axes = pyplot.subplots(figsize=(side, side))
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    if len(names) <= TICKS:
        names = [name.replace('$', r'\$') for name in names]  # no formulas
        axes.set_xticks(range(len(names)))
        axes.set_xticklabels(names, rotation=90)
        axes.set_yticks(range(len(names)))
        axes.set_yticklabels(names)
        for (row, column), n in np.ndenumerate(counts):
            if n:
                axes.text(
                    column,
                    row,
                    n,
                    ha='center',
                    va='center',
                    fontsize=7,
                    color='white' if shares[row, column] > 0.5 else 'black',
                )
    axes.set(
        xlabel='answer',
        ylabel='label',
        title=f'step {step}: {np.trace(counts)} of {counts.sum()} right',
    )
    figure.colorbar(image, fraction=0.046, label="share of the label's images")
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of characters that its font lacks, one by one
        figure.tight_layout()
        figure.savefig(path, dpi=100)
    pyplot.close(figure)
