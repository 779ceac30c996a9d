"""Figures of tensors against plain loops and hand numbers; dumps under both kinds of names, whole
and damaged.
"""

import json
import math
import os

import numpy as np
import pytest

from mobilenet.comparison import dump_files, dump_reader, statistics
from mobilenet.errors import UsageError
from tests.helpers.dump_cases import TIME, network, plain_figures, put, tensor


@pytest.mark.parametrize('dtype', ['float32', 'float16', 'int32', 'bool'])
def test_figures_are_those_of_a_plain_loop(dtype, monkeypatch):
    monkeypatch.setattr(statistics, 'PIECE', 64)  # several pieces, the last not whole
    random = np.random.RandomState(3)
    a, b = (random.normal(0, 3, (5, 7, 9)).astype(dtype) for _ in range(2))
    if dtype.startswith('float'):
        a[0, 0, :4] = np.nan, np.inf, 1, 0
        b[0, 0, :4] = 1, 2, -np.inf, 0
        b[4, 6, 8] = 0
    found = statistics.compare(a, b)
    assert ' '.join(found) == (
        'CosineSimilarity MaxAbsoluteError AccumulatedRelativeError RelativeEuclideanDistance '
        'MeanAbsoluteError '
        'RootMeanSquareError MaxRelativeError MeanRelativeError NonFiniteA NonFiniteB'
    )
    np.testing.assert_allclose(list(found.values())[:8], plain_figures(a, b), rtol=1e-12)
    assert (found['NonFiniteA'], found['NonFiniteB']) == (
        (2, 1) if dtype.startswith('float') else (0, 0)
    )


def test_figures_by_hand_and_at_the_edges():
    found = statistics.compare(np.array([3.0, 4.0, 1.0]), np.array([4.0, 3.0, 0.0]))
    assert found['CosineSimilarity'] == pytest.approx(24 / (5 * math.sqrt(26)))
    assert found['AccumulatedRelativeError'] == pytest.approx(
        1 / 4 + 1 / 3
    )  # none of the golden's 0
    assert found['MeanRelativeError'] == pytest.approx((1 / 4 + 1 / 3) / 3)
    assert found['RelativeEuclideanDistance'] == pytest.approx(math.sqrt(3) / 5)
    found = statistics.compare(
        np.array([3e-12, 1.0]), np.array([1e-12, 1e-17])
    )  # small is not zero, below 2.2e-16 is
    assert found['MaxRelativeError'] == pytest.approx(2) and found[
        'AccumulatedRelativeError'
    ] == pytest.approx(2)
    zeros, ones = np.zeros(4, np.float32), np.ones(4, np.float32)
    assert statistics.compare(zeros, zeros)['CosineSimilarity'] == 1
    assert math.isnan(statistics.compare(ones, zeros)['CosineSimilarity'])
    assert math.isnan(statistics.compare(zeros, ones)['CosineSimilarity'])
    assert statistics.compare(ones, zeros)['RelativeEuclideanDistance'] == 0  # as the vendor's
    assert statistics.compare(np.float32(2), np.float32(-2))['CosineSimilarity'] == -1
    assert statistics.compare(np.zeros((0, 3)), np.zeros((0, 3)))['MaxAbsoluteError'] == 0
    third = np.full(1000, 1 / 3, np.float32)
    assert statistics.compare(third, third)['CosineSimilarity'] == 1


def test_figures_at_the_bounds_of_zero_and_of_one():
    epsilon = np.float64(2.0**-52)  # what is not above it is zero
    found = statistics.compare(np.array([1.0]), np.array([epsilon]))
    assert math.isnan(found['CosineSimilarity']) and found['RelativeEuclideanDistance'] == 0
    assert (found['MaxRelativeError'], found['AccumulatedRelativeError']) == (0, 0)
    assert found['MeanAbsoluteError'] == found['RootMeanSquareError'] == 1 - epsilon
    assert math.isnan(statistics.compare(np.array([epsilon]), np.ones(1))['CosineSimilarity'])
    for a, b in ((1e-9, 1.0), (1.0, 1e-9)):
        assert statistics.compare(np.float64(a), np.float64(b))['CosineSimilarity'] == 1
    assert statistics.all_zero(np.array([epsilon])) and not statistics.all_zero([2 * epsilon])
    random = np.random.RandomState(0)
    for _ in range(200):  # by rounding alone, many of these are beyond 1
        a = random.normal(size=7)
        for sign in (1, -1):
            cosine = statistics.compare(a, sign * 0.3 * a)['CosineSimilarity']
            assert abs(cosine) <= 1 and cosine == pytest.approx(sign)


def test_pieces_without_a_finite_value_and_the_last_one_zero(monkeypatch):
    monkeypatch.setattr(statistics, 'PIECE', 2)
    a = np.array([3.0, np.nan, np.nan, np.inf, 4, 0, 0, 0])
    assert statistics.describe(a)['max'] == 4 and statistics.describe(a)['mean'] == 7 / 5
    found = statistics.compare(a, np.array([1.0, 1, 1, 1, 2, 1, 0, 0]))
    assert found['MeanAbsoluteError'] == pytest.approx((2 + 2 + 1) / 5)
    assert not statistics.all_zero(a) and statistics.all_zero(np.zeros(5))
    assert statistics.norm(a[4:]) == 4
    assert statistics.describe(np.array([1e-8, 1e-9, 1]))['fp16_underflow'] == 2 / 3
    nan, inf = np.nan, np.inf
    for a, b, same in (
        ([1, nan, 2, -inf], [3, nan, 4, -inf], True),
        ([1, nan, 2, inf], [1, nan, 2, -inf], False),
        ([nan, 1], [inf, 1], False),
        ([1, 2], [3, 4], True),
    ):
        assert statistics.same_non_finite(np.array(a), np.array(b)) is same
    found = statistics.describe(np.array([np.nan]))
    assert [found[n] for n in ('zeros', 'fp16_underflow', 'fp16_overflow')] == [0, 0, 0]


def test_describe_by_hand(monkeypatch):
    monkeypatch.setattr(statistics, 'PIECE', 3)
    found = statistics.describe(np.array([[0, 1, 1e-8, -3], [1e5, np.nan, np.inf, 0]], np.float32))
    kept = np.array([0, 1, 1e-8, -3, 1e5, 0])
    assert found['mean'] == pytest.approx(kept.mean()) and found['std'] == pytest.approx(kept.std())
    assert (found['min'], found['max']) == (-3, 1e5)
    assert (found['zeros'], found['non_finite']) == (2 / 8, 2 / 8)
    assert (found['fp16_underflow'], found['fp16_overflow']) == (1 / 4, 1 / 6)
    assert statistics.describe(np.array([True, False]))['mean'] == 0.5
    assert statistics.describe(np.int64(7))['max'] == 7
    assert math.isnan(statistics.describe(np.zeros((0, 2)))['mean'])
    large = 1e6 + np.arange(
        10, dtype=np.float64
    )  # where mean of squares minus square of mean loses digits
    assert statistics.describe(large)['std'] == pytest.approx(np.sqrt(99 / 12), rel=1e-12)


def test_a_dump_is_written_and_read_as_it_was(tmp_path):
    values = [
        np.float16([1, 2]),
        np.float32(3),
        np.array([[1, 2]], np.int32),
        np.array([True]),
        np.zeros((0, 4), np.uint8),
    ]
    tensors = [
        tensor(f'x:{9 - i}', 9 - i, value, f'a b/c.{9 - i}\\d', i) for i, value in enumerate(values)
    ]
    folder = dump_files.write(str(tmp_path / 'step_000007'), 7, tensors, TIME)
    assert sorted(os.listdir(folder)) == [
        f'a_b_c_{9 - i}_d.{i}.{TIME}.npy' for i in reversed(range(5))
    ] + ['index.jsonl']
    with open(os.path.join(folder, 'index.jsonl')) as file:
        lines = [json.loads(line, parse_constant=pytest.fail) for line in file]
    assert [line['position'] for line in lines] == [5, 6, 7, 8, 9]
    assert set(lines[0]) == {
        'step',
        'name',
        'op',
        'output',
        'type',
        'layer',
        'position',
        'file',
        'shape',
        'dtype',
        'figures',
        'source',
        'ops',
    }
    assert lines[0]['figures']['mean'] is None and lines[4]['figures']['max'] == 2
    problems = []
    ((step, entries),) = dump_reader.read(str(tmp_path), problems).items()
    assert step == 7 and not problems
    for entry, value in zip(reversed(entries), values):
        loaded = entry.load()
        assert (
            loaded.dtype == value.dtype and loaded.shape == value.shape and (loaded == value).all()
        )
    assert entries[0].op == 'a b/c.5\\d' and entries[0].ops[0]['op'] == 'before/x:5'


def test_names_that_become_the_same_file_and_names_too_long(tmp_path):
    ops = ['a/b', 'a.b', 'a b', 'x' * 400]
    dump_files.write(
        str(tmp_path), 0, [tensor(f't{i}', i, i, op) for i, op in enumerate(ops)], TIME
    )
    assert {f'a_b.0.{TIME}.npy', f'a_b_2.0.{TIME}.npy', f'a_b_3.0.{TIME}.npy'} < set(
        os.listdir(str(tmp_path))
    )
    entries = dump_reader.read(str(tmp_path))[0]
    assert [(e.op, int(e.load())) for e in entries] == [(op, i) for i, op in enumerate(ops)]


def test_a_second_dump_replaces_the_first(tmp_path):
    put(tmp_path, 'mine.npy', 1)
    dump_files.write(str(tmp_path), 3, network(), TIME)
    dump_files.write(str(tmp_path), 4, network(layers=1), TIME + 5)
    files = sorted(os.listdir(str(tmp_path)))
    assert 'mine.npy' in files and len(files) == 2 + 4
    assert list(dump_reader.read(str(tmp_path))) == [4]
    dump_files.write(str(tmp_path), 5, network(layers=1), TIME + 5)  # the same names
    assert len(os.listdir(str(tmp_path))) == 2 + 4
    with pytest.raises(UsageError, match='numbers'):
        dump_files.write(str(tmp_path), 6, [tensor('text', 0, ['a'])])
    assert list(dump_reader.read(str(tmp_path))) == [5]


@pytest.mark.parametrize(
    'name, op, output, direction, time',
    [
        (
            'Conv2D.Mob_Conv2d_0_Conv2D.12.3.1600000000000001.output.1.npy',
            'Mob_Conv2d_0_Conv2D',
            1,
            'output',
            TIME + 1,
        ),
        ('Relu6.a.b.c.12.3.1600000000000001.input.0.npy', 'a.b.c', 0, 'input', TIME + 1),
        ('Relu6.a.7.12.3.1600000000000001.output.0.npy', 'a.7', 0, 'output', TIME + 1),
        ('Relu6.a.12.1600000000000001.output.0.npy', 'a', 0, 'output', TIME + 1),
        ('TransData.a.12.3.1600000000000001.output.0.1x16x8x8.npy', 'a', 0, 'output', TIME + 1),
        ('Mob_Relu6.2.1600000000000001.npy', 'Mob_Relu6', 2, 'output', TIME + 1),
    ],
)
def test_both_kinds_of_names(tmp_path, name, op, output, direction, time):
    put(tmp_path, name, [1.0])
    (entry,) = dump_reader.read(str(tmp_path))[None]
    assert (entry.op, entry.output, entry.direction, entry.timestamp) == (
        op,
        output,
        direction,
        time,
    )


def test_steps_of_folders(tmp_path):
    put(tmp_path / '20200101' / '0' / 'graph' / '1' / '12', f'Relu.a.1.2.{TIME}.output.0.npy', 1)
    put(tmp_path / 'step_000003' / 'more', f'a.0.{TIME}.npy', 1)
    put(tmp_path, f'a.0.{TIME}.npy', 1)
    assert sorted(dump_reader.read(str(tmp_path)), key=str) == [12, 3, None]
    assert list(dump_reader.read(str(tmp_path / 'step_000003'))) == [3]


def test_foreign_files_do_not_stop_it(tmp_path):
    put(tmp_path, f'good.0.{TIME}.npy', 1)
    put(tmp_path, 'batch.npy', 1)
    np.save(str(tmp_path / f'objects.0.{TIME}.npy'), np.array([{}]), allow_pickle=True)
    for name, content in (
        ('empty', b''),
        ('text', b'hello'),
        ('head', b'\x93NUMPY\x01\x00v\x00{"descr": '),
        ('zip', b'PK\3\4'),
    ):
        (tmp_path / f'{name}.0.{TIME}.npy').write_bytes(content)
    problems = []
    assert [e.op for e in dump_reader.read(str(tmp_path), problems)[None]] == ['good']
    assert len(problems) == 6 and all('\n' not in line for line in problems)
