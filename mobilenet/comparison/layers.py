"""A comparison of dumps by step and by layer, as lines of text."""

import collections


def step_table(rows):
    """A line a step: the losses, and the layer that differs most of activations, gradients and
    weights.
    """
    steps = collections.OrderedDict()
    for row in rows:
        steps.setdefault(row.step, []).append(row)
    head = '{:>5}  {:>13}  {:>13}  {:>10}   {:<52}{:<52}{}'.format(
        'step',
        'loss A',
        'loss B',
        'difference',
        'largest distance: weights before',
        'activations',
        'gradients',
    )
    return [head] + [_step_line(step, group) for step, group in steps.items()]


def _step_line(step, rows):
    losses = [row for row in rows if row.known.name == 'loss']
    a, b = (
        (float(losses[0].a.load()), float(losses[0].b.load()))
        if losses
        else (float('nan'), float('nan'))
    )
    worst = [_worst(rows, prefix) for prefix in ('weight:', 'act:', 'grad:')]
    return '{:>5}  {:>13.9g}  {:>13.9g}  {:>+10.2e}   {:<52}{:<52}{}'.format(
        step, a, b, a - b, *worst
    )


def _worst(rows, prefix):
    """The largest distance of the tensors of a kind, and whose it is."""
    group = [row for row in rows if row.known.name.startswith(prefix)]
    apart = [row for row in group if not row.equal]
    if not apart:
        return _mark(group)
    row = max(apart, key=lambda r: (r.differs, not r.all_finite, r.distance))
    return f'{_mark([row])} {row.known.name[len(prefix) :].replace("/BatchNorm/", "/")}'


def layer_table(rows, step):
    """A line a layer at a step: the largest distance of its weights, activation and gradients."""
    layers = collections.OrderedDict()
    for row in rows:
        prefix = row.known.name.partition(':')[0]
        if row.step == step and row.known.layer and prefix in ('weight', 'act', 'grad'):
            layers.setdefault(row.known.layer, {}).setdefault(prefix, []).append(row)
    lines = [
        '{:<28}{:>16}{:>12}{:>12}'.format(
            f'step {step}, layer', 'weights before', 'activation', 'gradients'
        )
    ]
    for layer, kinds in layers.items():
        marks = [_mark(kinds.get(kind)) for kind in ('weight', 'act', 'grad')]
        parts = any(r.differs for group in kinds.values() for r in group)
        lines.append(
            '{:<28}{:>16}{:>12}{:>12}{}'.format(layer, *marks, '  differs' if parts else '')
        )
    return lines


def _mark(rows):
    """The largest distance of some tensors of a layer, in a word."""
    if not rows:
        return '-'
    if all(row.equal for row in rows):
        return 'equal'
    return (
        f'{max(row.distance for row in rows):.2e}'
        if all(row.all_finite for row in rows)
        else 'not finite'
    )
