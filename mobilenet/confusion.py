"""Per-class accuracy and the confusion matrix of an evaluation, as CSV and PNG."""

import csv
import os
import warnings

import numpy as np

from mobilenet import fonts, text

TICKS = 40  # with more classes the picture is of the pairs that are confused most often
PAIRS = 40
LONGEST_NAME = 30


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
    """The matrix; of more than TICKS classes the pairs that are confused most often."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    fonts.use_for(names)
    figure = _draw_matrix(counts, names) if len(names) <= TICKS else _draw_pairs(counts, names)
    title = f'step {step}: {np.trace(counts)} of {counts.sum()} right'
    figure.axes[0].set_title(title)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of characters that its font lacks, one by one
        figure.tight_layout()
        figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _draw_matrix(counts, names):
    from matplotlib import pyplot

    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(4 + 0.25 * len(names), 12)
    figure, axes = pyplot.subplots(figsize=(side, side))
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    axes.set_xticks(range(len(names)))
    names = [fonts.plain(name) for name in names]
    axes.set_xticklabels(names, rotation=90)
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(names)
    for (row, column), n in np.ndenumerate(counts):
        if n:
            color = 'white' if shares[row, column] > 0.5 else 'black'
            axes.text(column, row, n, ha='center', va='center', fontsize=7, color=color)
    axes.set(xlabel='answer', ylabel='label')
    figure.colorbar(image, fraction=0.046, label="share of the label's images")
    return figure


def worst_pairs(counts, most=PAIRS):
    """[(label, answer, images)] of wrong answers, the most frequent first; at most so many."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind='stable')[:most]
    pairs = zip(*np.unravel_index(order, wrong.shape))
    return [(int(i), int(j), int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def _draw_pairs(counts, names):
    from matplotlib import pyplot

    pairs = worst_pairs(counts)
    figure, axes = pyplot.subplots(figsize=(10, 1.5 + 0.25 * max(len(pairs), 1)))
    totals = counts.sum(1)
    bars = axes.barh(range(len(pairs)), [n for _, _, n in pairs], color='C0')
    for bar, (label, _, n) in zip(bars, pairs):
        axes.annotate(
            f'{n} of {totals[label]}',
            (bar.get_width(), bar.get_y() + bar.get_height() / 2),
            (4, 0),
            textcoords='offset points',
            va='center',
            fontsize=8,
        )
    axes.set_yticks(range(len(pairs)))
    axes.set_yticklabels([f'{_short(names[i])} → {_short(names[j])}' for i, j, _ in pairs])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(f'images of a label that got another answer: the {len(pairs)} worst pairs')
    return figure


def _short(name):
    """The first of a class's names, cut to what fits beside the picture."""
    return fonts.plain(name.split(',')[0], LONGEST_NAME)
