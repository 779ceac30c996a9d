"""Two dumps compared: pairs, order and what differs."""

import os
import re

import numpy as np
import pytest

from mobilenet.comparison import compare, dump_files, dump_reader, report
from mobilenet.errors import UsageError
from tests.helpers.dump_cases import TIME, network, put, tensor


def compared(a, b, *more):
    return compare.compare(str(a), str(b), *more)


def names_of(rows):
    return [row.known.name for row in rows]


def test_a_device_tree_against_our_dump(tmp_path):
    """Order is that of our index; outputs, timestamps and inputs find their partners."""
    random = np.random.RandomState(0)
    z0, z1, a0 = (random.normal(size=4).astype(np.float32) for _ in range(3))
    dump_files.write(
        str(tmp_path / 'golden'),
        5,
        [
            tensor('act:late', 2, a0, 'scope/a'),
            tensor('z:0', 0, z0, 'scope/z'),
            tensor('z:1', 1, z1, 'scope/z', 1),
        ],
    )
    device = tmp_path / 'npu' / '20200101' / '0' / 'graph' / '1' / '5'
    put(device, f'Relu.scope_a.7.1.{TIME}.output.0.npy', a0)
    put(device, f'Split.scope_z.9.1.{TIME + 9}.output.0.npy', z0)
    put(device, f'Split.scope_z.9.1.{TIME + 9}.output.1.npy', z1 * np.float32(1.01))
    put(device, f'Split.scope_z.9.1.{TIME + 9}.input.0.npy', z0)
    # Again, later, named as CANN 8.5 does: it has no partner.
    put(device, f'Split.scope_z.9.1.{TIME + 20}.6.0.0.3.output.0.npy', z0)
    result = compared(tmp_path / 'npu', tmp_path / 'golden')
    assert names_of(result.rows) == ['z:0', 'z:1', 'act:late']
    assert [row.verdict for row in result.rows] == ['equal', 'differs', 'equal']
    assert result.rows[1].distance == pytest.approx(0.01, rel=1e-3)
    assert (
        result.first.known.source == 'mobilenet/nets/layers.py:95 conv2d' and result.first.step == 5
    )
    assert sorted((e.direction, e.timestamp) for e in result.only_in_a) == [
        ('input', TIME + 9),
        ('output', TIME + 20),
    ]


def test_several_timestamps_pair_in_order_of_time(tmp_path):
    for side, times in (('a', (30, 10, 20)), ('b', (5, 6, 4))):
        for time in times:
            put(
                tmp_path / side,
                f'Relu.x.1.2.{TIME + time}.output.0.npy',
                float(sorted(times).index(time) + 1),
            )
    result = compared(tmp_path / 'a', tmp_path / 'b')
    assert [(row.a.timestamp - TIME, row.b.timestamp - TIME) for row in result.rows] == [
        (10, 4),
        (20, 5),
        (30, 6),
    ]
    assert all(row.equal for row in result.rows)


def test_golden_files_take_the_order_of_the_device(tmp_path):
    for name, time in (('c', 1), ('a', 2), ('b', 3)):
        put(tmp_path / 'npu', f'Relu.{name}.1.2.{TIME + time}.output.0.npy', [1.0, 2.0])
        put(tmp_path / 'golden', f'{name}.0.{TIME}.npy', [1.0, 2.0 if name == 'c' else 2.1])
    for a, b in (('npu', 'golden'), ('golden', 'npu')):
        result = compared(tmp_path / a, tmp_path / b)
        assert [row.a.op for row in result.rows] == ['c', 'a', 'b'] and result.first.a.op == 'a'


def test_first_is_of_the_earliest_step_and_position(tmp_path):
    for step in (10, 9, 100):
        fault = {} if step == 9 else {'act:layer_2': 1.01, 'grad:layer_3': 1.02}
        dump_files.write(str(tmp_path / 'a' / f'step_{step:06d}'), step, network(fault, seed=step))
        dump_files.write(str(tmp_path / 'b' / f'step_{step:06d}'), step, network(seed=step))
    result = compared(tmp_path / 'a', tmp_path / 'b')
    assert (result.first.step, result.first.known.name) == (10, 'act:layer_2')
    assert [row.step for row in result.rows] == sorted(row.step for row in result.rows)
    assert names_of(result.rows[:13]) == [t.name for t in network()]
    lines = report.lines(result)
    assert (
        lines[0] == 'first to differ: act:layer_2, layer layer_2, op act/layer_2 (Relu6), '
        'mobilenet/nets/layers.py:95 conv2d, step 10'
    )
    assert lines[2] == '  ops between act:layer_1 (equal) and it:'
    assert lines[3].split() == [
        'Conv2D',
        'before/act:layer_2',
        'mobilenet/nets/layers.py:60',
        'conv2d',
    ]


@pytest.mark.parametrize('before, said', [(1 + 9e-5, True), (1 + 1e-5, False), (1, False)])
def test_slow_growth_is_no_jump(tmp_path, before, said):
    """act:layer_2 is 1.2e-4 off; whether that is much depends on act:layer_1."""
    dump_files.write(
        str(tmp_path / 'a'), 0, network({'act:layer_1': before, 'act:layer_2': 1 + 1.2e-4})
    )
    dump_files.write(str(tmp_path / 'b'), 0, network())
    result = compared(tmp_path / 'a', tmp_path / 'b')
    assert result.first.known.name == 'act:layer_2'
    assert (
        any('nearly as far before it (9e-05)' in line for line in report.first_lines(result))
        == said
    )


@pytest.mark.parametrize(
    'factor, verdict',
    [(1, 'equal'), (1 + 1e-6, 'within'), (1 + 9e-5, 'within'), (1 + 1.2e-4, 'differs')],
)
def test_tolerance(tmp_path, factor, verdict):
    value = np.random.RandomState(0).normal(size=1000)
    put(tmp_path / 'a', f'x.0.{TIME}.npy', value * factor)
    put(tmp_path / 'b', f'x.0.{TIME}.npy', value)
    assert compared(tmp_path / 'a', tmp_path / 'b').rows[0].verdict == verdict


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    'a, b, verdict',
    [
        ([1, NAN], [1, NAN], 'equal'),
        ([1, NAN], [1, 2], 'differs'),
        ([1.0, 2], [1, INF], 'differs'),
        ([1, NAN, 3], [1, INF, 3], 'differs'),
        ([NAN, 1], [1, NAN], 'differs'),
        ([1, INF], [1, -INF], 'differs'),
        ([1, NAN, 3.00001], [1, NAN, 3], 'within'),
        ([0.0, 0], [-0.0, 0], 'within'),
        ([0, 5e-5], [0.0, 0], 'within'),
        ([0, 1e-4], [0.0, 0], 'within'),
        ([0, 2e-4], [0.0, 0], 'differs'),
        (np.int32([100000]), np.float32([100001]), 'within'),
        (np.float32([100001]), np.int32([100000]), 'within'),
        ([0.0, 0], [1.0, 1], 'differs'),
        (np.float32([1 / 3]), np.float16([1 / 3]), 'differs'),
        (np.float32([0.5]), np.float16([0.5]), 'within'),
        (np.int32([100000, 1]), np.int32([100001, 1]), 'differs'),
        (np.int32([1]), np.int64([1]), 'within'),
        ([True, False], [True, True], 'differs'),
        (np.zeros((0, 2)), np.zeros((0, 2)), 'equal'),
    ],
)
def test_what_differs(tmp_path, a, b, verdict):
    put(tmp_path / 'a', f'x.0.{TIME}.npy', a)
    put(tmp_path / 'b', f'x.0.{TIME}.npy', b)
    result = compared(tmp_path / 'a', tmp_path / 'b')
    assert result.rows[0].verdict == verdict and result.agrees == (verdict != 'differs')
    if verdict == 'differs':
        assert report.reason(result.first, result.tolerance)


def test_missing_other_shape_and_damaged_are_listed(tmp_path):
    a, b = str(tmp_path / 'a'), str(tmp_path / 'b')
    tensors = network()
    dump_files.write(
        a, 1, [t._replace(value=t.value.T) if t.name == 'act:layer_0' else t for t in tensors[1:]]
    )
    dump_files.write(
        b,
        1,
        [t._replace(value=t.value[1:]) if t.name == 'act:layer_1' else t for t in tensors[:-1]],
    )
    (entry,) = [e for e in dump_reader.read(b)[1] if e.name == 'act:layer_2']
    os.truncate(entry.path, os.path.getsize(entry.path) - 4)
    with open(os.path.join(b, 'index.jsonl'), 'a') as file:
        file.write('{"step": 1, "na')
    put(b, 'stray.npy', 1)
    result = compared(a, b)
    assert [e.name for e in result.only_in_a] == ['act:layer_2', 'grad:layer_0']
    assert [e.name for e in result.only_in_b] == ['images']
    assert [(o.a.name, bool(o.hint)) for o in result.other_shape] == [
        ('act:layer_0', True),
        ('act:layer_1', False),
    ]
    assert [
        bool(re.search(what, line))
        for what, line in zip(
            ('line 13 is not', 'stray.npy: not in the index', 'act_layer_2.*npy: '), result.problems
        )
    ] == [True] * 3
    assert result.first is None and not result.agrees
    text = '\n'.join(report.lines(result))
    for name in ('act:layer_2', 'grad:layer_0', 'images', '3x5 in B', 'NHWC', 'stray.npy'):
        assert name in text
    assert text.startswith('no tensor differs')


def test_which_steps_go_together(tmp_path):
    for folder, step in (
        ('a/step_000001', 1),
        ('a/step_000002', 2),
        ('b/step_000002', 2),
        ('b/step_000003', 3),
        ('c/step_000008', 8),
    ):
        dump_files.write(str(tmp_path / folder), step, network(layers=1))
    for t in network(layers=1):
        put(tmp_path / 'loose', f'{dump_files.file_op_name(t.op)}.0.{TIME}.npy', t.value)
    result = compared(tmp_path / 'a', tmp_path / 'b')
    assert (result.steps_only_in_a, result.steps_only_in_b, {row.step for row in result.rows}) == (
        [1],
        [3],
        {2},
    )
    assert not result.agrees and 'steps only in A (1):' in report.lines(result)
    result = compared(tmp_path / 'loose', tmp_path / 'c')
    assert {row.step for row in result.rows} == {8} and result.agrees
    with pytest.raises(UsageError, match='steps 1, 2.*step 8'):
        compared(tmp_path / 'a', tmp_path / 'c')
    with pytest.raises(UsageError, match='no step'):
        compared(tmp_path / 'a', tmp_path / 'loose')
    result = compared(tmp_path / 'a' / 'step_000001', tmp_path / 'c' / 'step_000008')
    assert result.agrees and result.notes == [
        'step 1 of the one is compared with step 8 of the other'
    ]


def test_dumps_with_an_index_pair_by_our_names(tmp_path):
    for side, tensors in (
        ('a', [('act:x', [1.0], 'a/Relu6'), ('act:y', [2.0], 'a.Relu6')]),
        ('b', [('act:y', [2.0], 'a/Relu6'), ('act:x', [1.0], 'a/Cast')]),
    ):
        dump_files.write(
            str(tmp_path / side),
            1,
            [tensor(name, i, value, op) for i, (name, value, op) in enumerate(tensors)],
        )
    result = compared(tmp_path / 'a', tmp_path / 'b')
    assert names_of(result.rows) == ['act:x', 'act:y'] and result.agrees
