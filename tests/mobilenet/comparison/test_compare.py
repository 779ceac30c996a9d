"""Which tensors of two dumps are compared, and in which order and words."""

import numpy as np
import pytest

from mobilenet.comparison import compare, dump_files
from mobilenet.errors import UsageError
from tests.helpers.dump_cases import TIME, network, put, tensor

NAN, INF = np.nan, np.inf


def test_a_pattern_of_layers_names_or_ops(tmp_path):
    for side, factor in (('a', 1.01), ('b', 1)):
        tensors = network({'act:layer_1': factor})
        extra = [tensor(f'only:{side}{i}', 90 + i, 0.0, f'op_{side}') for i in range(2)]
        dump_files.write(str(tmp_path / side), 1, tensors + extra)
    a, b = tmp_path / 'a', tmp_path / 'b'
    result = compare.compare(str(a), str(b), pattern='act:layer_1')
    assert [row.known.name for row in result.rows] == [
        'act:layer_1'
    ] and not result.only_in_a + result.only_in_b
    (row,) = result.rows
    assert row.known.name == 'act:layer_1'
    assert row.differs and row.all_finite and row.known is row.a
    for pattern in (row.a.op, row.a.layer):
        assert 'act:layer_1' in [
            row.known.name for row in compare.compare(str(a), str(b), pattern=pattern).rows
        ]
    result = compare.compare(str(a), str(b), pattern='only:?1')
    assert [e.name for e in result.only_in_a + result.only_in_b] == ['only:a1', 'only:b1']
    assert compare.compare(str(a), str(b), pattern='only:a0').only_in_b == []
    with pytest.raises(UsageError, match="matches 'no_such'"):
        compare.compare(str(a), str(b), pattern='no_such')


def test_dumps_without_an_index(tmp_path):
    for side, names in (('a', 'xy'), ('b', 'yx')):
        for time, name in enumerate(names):
            value = {'ax': [1.0, NAN], 'by': [INF, 2.0]}.get(side + name, [1.0, 2.0])
            put(tmp_path / side, f'Relu.{name}.1.2.{TIME + time}.output.0.npy', value)
    rows = compare.compare(str(tmp_path / 'a'), str(tmp_path / 'b')).rows
    assert [row.a.op for row in rows] == ['x', 'y']  # as many times: those of A
    assert all(row.known is row.a for row in rows)
    assert [row.all_finite for row in rows] == [False, False]


def test_steps_in_words(tmp_path):
    def words(*steps):
        return compare._listed(dict.fromkeys(steps))

    assert words(8) == 'step 8' and words(9, 3) == 'steps 3, 9'
    assert words(0, None, 1) == 'steps one without a number, 0, 1'
    assert words(*range(10)) == 'steps 0, 1, 2, 3, 4, 5, 6, 7, 8, 9'
    assert words(*range(11)) == words(*range(12)) == words(*range(10)) + ', ...'


def test_folders_of_steps_that_do_not_meet(tmp_path):
    for folder, step in (('a/one', 1), ('b/two', 2), ('c/three', 3), ('c/four', 4)):
        dump_files.write(str(tmp_path / folder), step, network(layers=1))
    put(tmp_path / 'loose', f'x.0.{TIME}.npy', 1.0)
    for a, b in (
        ('a/one', 'b'),
        ('a', 'b/two'),
        ('a', 'b'),
        ('loose', 'c'),
        ('a', 'c'),
        ('c', 'a'),
    ):
        with pytest.raises(UsageError, match='no step is in both: '):
            compare.compare(str(tmp_path / a), str(tmp_path / b))


def test_a_file_that_changes_meanwhile_is_a_problem(tmp_path, monkeypatch):
    for side in 'ab':
        put(tmp_path / side, f'x.0.{TIME}.npy', 1.0)

    def fail(*arrays):
        raise ValueError('its end is gone')

    monkeypatch.setattr(compare.statistics, 'compare', fail)
    result = compare.compare(str(tmp_path / 'a'), str(tmp_path / 'b'))
    assert not result.rows and not result.agrees
    assert [problem.split('.npy: ')[1] for problem in result.problems] == ['its end is gone']
