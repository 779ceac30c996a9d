"""What the stepper prints of tensors, as plain text."""

import numpy as np

from mobilenet.comparison import statistics

EDGE = 3


def tensor(name, array, described):
    """A name, its shape and type, some values, and the figures of statistics.describe: two lines,
    or one for a scalar.
    """
    array = np.asarray(array)
    if array.ndim == 0:
        return f'{name} = {_number(array)}  {array.dtype}'
    flat = array.reshape(-1)
    shown = [
        _number(v)
        for v in (flat if flat.size <= 2 * EDGE else np.concatenate([flat[:EDGE], flat[-EDGE:]]))
    ]
    if flat.size > 2 * EDGE:
        shown.insert(EDGE, '…')
    text = '{} {} {} = {}'.format(name, list(array.shape), array.dtype, ' '.join(shown))
    return text + (
        '\n    mean {mean:.6g}  std {std:.6g}  min {min:.6g}  max {max:.6g}  zeros {zeros:.2%}  '
        'non-finite {non_finite:.2%}  '
        'float16: underflow {fp16_underflow:.2%} overflow {fp16_overflow:.2%}'
    ).format(**described)


def _number(value):
    return f'{value.item():.6g}' if value.dtype.kind == 'f' else str(value.item())


def top(values, weights, count):
    """The `count` largest and smallest of {name: array} by norm, those with non-finite elements
    before all.

    weights: {the same names: weights} for gradients, which are then shown relative to them too; or
    None.
    """
    rows = []
    for name, array in values.items():
        bad = int(array.size - np.isfinite(array).sum())
        norm = statistics.norm(array)
        relative = _ratio(norm, weights[name]) if weights else None
        rows.append((name, norm, float(np.abs(array).max()) if array.size else 0.0, bad, relative))
    broken = [r for r in rows if r[3]]
    whole = sorted((r for r in rows if not r[3]), key=lambda r: -r[1])
    parts = [
        ('not finite', broken),
        ('largest', whole[:count]),
        ('smallest', whole[max(count, len(whole) - count) :]),
    ]
    width = max([len(n) for n in values] + [4])
    lines = [
        '{:{w}}  {:>12}  {:>12}{}'.format(
            '', 'norm', 'max |x|', '  {:>12}'.format('norm/weight') if weights else '', w=width
        )
    ]
    for title, chosen in parts:
        if chosen:
            lines.append(title)
            lines += [_row(r, width) for r in chosen]
    return '\n'.join(lines)


def _ratio(norm, weights):
    own = statistics.norm(weights)
    return norm / own if own else float('inf')


def _row(row, width):
    name, norm, largest, bad, relative = row
    text = '{:{w}}  {:12.6g}  {:12.6g}'.format(name, norm, largest, w=width)
    text += '' if relative is None else f'  {relative:12.6g}'
    return text + (f'  {bad} of its elements' if bad else '')
