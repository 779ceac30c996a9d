"""A comparison by step and by layer, read back from its lines."""

import re

import numpy as np
import pytest

from mobilenet.comparison import compare, dump_files, layers
from tests.helpers.dump_cases import tensor

ONES = np.ones(10000, np.float32)
NAMES = [
    'weight:one/weights',
    'weight:one/BatchNorm/gamma',
    'act:one',
    'weight:two/weights',
    'act:two',
    'grad:two/weights',
    'grad:one/weights',
]


def rows_of(folder, steps):
    """Rows of {step: {tensor: (value in A, value in B)}}; of ones, where nothing is given."""
    for step, values in steps.items():
        for side, name in enumerate(('a', 'b')):
            tensors = [
                tensor(n, i, values.get(n, (ONES, ONES))[side], layer=re.split('[:/]', n)[1])
                for i, n in enumerate(NAMES)
            ]
            if 'loss' in values:
                tensors.append(tensor('loss', len(NAMES), np.float32(values['loss'][side])))
            dump_files.write(str(folder / name / f'step_{step:06d}'), step, tensors)
    return compare.compare(str(folder / 'a'), str(folder / 'b')).rows


def off(distance):
    """(A, B) of that relative distance."""
    return (ONES * np.float32(1 + distance), ONES)


def spoilt(value):
    """(A, B) whose first element is no number, or an infinity, in A alone."""
    a = ONES.copy()
    a[0] = value
    return (a, ONES)


def cells(line):
    return re.split(r'\s{2,}', line.strip())


def steps_of(folder, steps):
    head, *lines = layers.step_table(rows_of(folder, steps))
    assert cells(head)[:4] == ['step', 'loss A', 'loss B', 'difference']
    assert cells(head)[4].endswith('weights before')
    assert cells(head)[5:] == ['activations', 'gradients']
    for line in lines:  # each column under its head
        assert line[head.index('activations') - 1] == line[head.index('gradients') - 1] == ' '
        assert line[head.index('activations')] != ' ' != line[head.index('gradients')]
    return [cells(line) for line in lines]


def test_a_line_a_step_has_the_losses_and_the_worst_of_each_kind(tmp_path):
    steps = {
        3: {'loss': (2.5, 2.0), 'act:one': off(0.25), 'act:two': off(0.5)},
        4: {
            'loss': (1.0, 1.25),
            'weight:one/weights': off(1 / 1024),
            'weight:one/BatchNorm/gamma': off(1 / 256),
            'grad:two/weights': off(0.125),
            'grad:one/weights': off(0.0625),
        },
    }
    assert steps_of(tmp_path, steps) == [
        ['3', '2.5', '2', '+5.00e-01', 'equal', '5.00e-01 two', 'equal'],
        ['4', '1', '1.25', '-2.50e-01', '3.91e-03 one/gamma', 'equal', '1.25e-01 two/weights'],
    ]


def test_what_differs_is_worse_than_what_is_within_and_no_number_is_the_worst(tmp_path):
    """Distances are of what is finite on both sides: they say nothing of a NaN. Integers differ
    with any difference.
    """
    both = np.where(np.arange(10000) < 3, np.float32('nan'), ONES)
    whole = np.full(1000, 10000)
    steps = {
        1: {
            'act:one': off(2**-15),
            'act:two': (np.where(np.arange(1000) < 1, 10001, whole), whole),
        },
        2: {'act:one': spoilt(np.nan), 'act:two': off(0.5)},
        3: {'act:one': off(2**-15), 'act:two': (both, both)},
    }
    first, second, third = steps_of(tmp_path, steps)
    assert first[1:4] == ['nan', 'nan', '+nan']  # no loss in these dumps
    assert first[5] == '3.16e-06 two'  # 1 of 10000 in one of 1000
    assert second[5] == 'not finite one' and third[5] == '3.05e-05 one'


def test_a_kind_of_which_there_is_nothing(tmp_path):
    rows = [row for row in rows_of(tmp_path, {1: {}}) if not row.known.name.startswith('act:')]
    assert cells(layers.step_table(rows)[1])[4:] == ['equal', '-', 'equal']


def layers_of(folder, steps, step):
    """{layer: its cells}, in order; every mark ends where its head does."""
    head, *lines = layers.layer_table(rows_of(folder, steps), step)
    assert head.startswith(f'step {step}, layer ')
    ends = [head.index(word) + len(word) for word in ('weights before', 'activation', 'gradients')]
    for line in lines:
        words = re.match(r'\S+', line).group()
        marks = [cell.rstrip() for cell in (line[28:44], line[44:56], line[56:68])]
        assert ends == [44, 56, 68] and all(len(m.strip()) < len(m) for m in marks), words
    return [cells(line) for line in lines]


def test_a_line_a_layer_of_one_step(tmp_path):
    steps = {
        1: {'act:one': off(0.5), 'loss': (1.0, 1.0)},
        2: {
            'weight:one/weights': off(2**-16),
            'weight:one/BatchNorm/gamma': off(2**-15),
            'act:two': spoilt(np.inf),
            'grad:two/weights': off(0.25),
            'loss': (1.0, 1.0),
        },
    }
    assert layers_of(tmp_path, steps, 2) == [
        ['one', '3.05e-05', 'equal', 'equal'],
        ['two', 'equal', 'not finite', '2.50e-01', 'differs'],
    ]


@pytest.mark.parametrize('kind', ['weight', 'act', 'grad'])
def test_a_layer_without_some_kind(tmp_path, kind):
    rows = [r for r in rows_of(tmp_path, {1: {}}) if not r.known.name.startswith(kind + ':')]
    expected = ['-' if kind == k else 'equal' for k in ('weight', 'act', 'grad')]
    _, *lines = layers.layer_table(rows, 1)
    assert [cells(line)[1:] for line in lines] == [expected, expected]
