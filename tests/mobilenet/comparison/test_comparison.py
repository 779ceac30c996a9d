"""Two dumps compared: pairs, order and what departs; the table, CSV, page and plot; the script by real processes."""

import csv
import html.parser
import math
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest

from mobilenet.comparison import compare, dump_files, dump_reader, plot, report, statistics
from mobilenet.errors import UsageError
from tests.helpers import ROOT
from tests.helpers.dump_cases import TIME, network, plain_figures, put, tensor


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
    put(
        device, f'Split.scope_z.9.1.{TIME + 20}.output.0.npy', z0
    )  # again, later: it has no partner
    result = compared(tmp_path / 'npu', tmp_path / 'golden')
    assert names_of(result.rows) == ['z:0', 'z:1', 'act:late']
    assert [row.verdict for row in result.rows] == ['equal', 'departs', 'equal']
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
        lines[0] == 'first to depart: act:layer_2, layer layer_2, op act/layer_2 (Relu6), '
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
    [(1, 'equal'), (1 + 1e-6, 'within'), (1 + 9e-5, 'within'), (1 + 1.2e-4, 'departs')],
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
        ([1, NAN], [1, 2], 'departs'),
        ([1.0, 2], [1, INF], 'departs'),
        ([1, NAN, 3], [1, INF, 3], 'departs'),
        ([NAN, 1], [1, NAN], 'departs'),
        ([1, INF], [1, -INF], 'departs'),
        ([1, NAN, 3.00001], [1, NAN, 3], 'within'),
        ([0.0, 0], [-0.0, 0], 'within'),
        ([0, 5e-5], [0.0, 0], 'within'),
        ([0, 2e-4], [0.0, 0], 'departs'),
        ([0.0, 0], [1.0, 1], 'departs'),
        (np.float32([1 / 3]), np.float16([1 / 3]), 'departs'),
        (np.float32([0.5]), np.float16([0.5]), 'within'),
        (np.int32([100000, 1]), np.int32([100001, 1]), 'departs'),
        (np.int32([1]), np.int64([1]), 'within'),
        ([True, False], [True, True], 'departs'),
        (np.zeros((0, 2)), np.zeros((0, 2)), 'equal'),
    ],
)
def test_what_departs(tmp_path, a, b, verdict):
    put(tmp_path / 'a', f'x.0.{TIME}.npy', a)
    put(tmp_path / 'b', f'x.0.{TIME}.npy', b)
    result = compared(tmp_path / 'a', tmp_path / 'b')
    assert result.rows[0].verdict == verdict and result.agrees == (verdict != 'departs')
    if verdict == 'departs':
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
    assert text.startswith('no tensor departs')


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


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ('meta', 'input'):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ('src', 'href')]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else '', data))


@pytest.fixture(scope='module')
def faulty(tmp_path_factory):
    """(A, B): steps 1 and 2; in 2 a fault, NaN, something missing; in both a name that HTML and CSV would misread."""
    folder = tmp_path_factory.mktemp('faulty')
    for step in (1, 2):
        common = [tensor('scope/<b>&",:0', 50, [1.0], 'scope/<b>&",')]
        fault = (
            {'weight:layer_1': 1 + 2e-6} if step == 1 else {'act:layer_1': 1.01, 'act:layer_2': 1.1}
        )
        a = network(fault) + common
        if step == 2:
            a[-2].value[0] = NAN
            common.append(tensor('extra', 60, 1))
        dump_files.write(str(folder / 'A' / f'step_{step}'), step, a)
        dump_files.write(str(folder / 'B' / f'step_{step}'), step, network() + common)
    return str(folder / 'A'), str(folder / 'B')


def run(*arguments):
    process = subprocess.run(
        [sys.executable, os.path.join(ROOT, 'scripts', 'compare_dumps.py')] + list(arguments),
        capture_output=True,
        text=True,
    )
    return process.returncode, process.stdout, process.stderr


def test_csv_has_all_rows_and_figures(faulty, tmp_path):
    path = str(tmp_path / 'x.csv')
    status, text, errors = run(*faulty, '--csv', path)
    assert (status, errors) == (3, '')
    assert text.startswith('first to depart: act:layer_1, layer layer_1, ')
    with open(path, newline='') as file:
        lines = list(csv.DictReader(file))
    names = [t.name for t in network()] + ['scope/<b>&",:0']
    assert [line['name'] for line in lines] == names * 2 + ['extra']
    assert [line['step'] for line in lines] == ['1'] * len(names) + ['2'] * (len(names) + 1)
    line = [x for x in lines if x['step'] == '2' and x['name'] == 'act:layer_1'][0]
    a, b = (
        [t.value for t in network(scale) if t.name == 'act:layer_1'][0]
        for scale in ({'act:layer_1': 1.01}, {})
    )
    np.testing.assert_allclose(
        [float(line[name]) for name in statistics.NAMES], plain_figures(a, b), rtol=1e-12
    )
    assert [x['verdict'] for x in lines if x['step'] == '2'] == ['equal'] * 4 + [
        'departs',
        'equal',
        'departs',
    ] + ['equal'] * 5 + ['departs', 'equal', 'only in B']
    assert [x['NonFiniteA'] for x in lines if x['name'] == 'grad:layer_0'] == ['0', '5']


def test_page_is_whole_and_needs_nothing_else(faulty, tmp_path):
    path = str(tmp_path / 'x.html')
    assert run(*faulty, '--html', path)[0] == 3
    with open(path) as file:
        text = file.read()
    page = Page(text)
    assert (
        page.open == []
        and page.links == []
        and 'http' not in text.replace('http://www.w3.org/2000/svg', '')
    )
    cells = [data for tag, data in page.texts if tag == 'td']
    assert cells.count('act:layer_1') == 2 and cells.count('scope/<b>&",:0') == 2
    assert [data for tag, data in page.texts if tag == 'li'] == ['extra, step 2']
    assert any('act:layer_1 departs first' in data for tag, data in page.texts if tag == 'title')


def height(decades, value):
    """Pixels of a value, by straight lines between the labelled heights."""
    known = sorted((math.log10(v), y) for v, y in decades.items() if 0 < v < math.inf)
    (x0, y0), (x1, y1) = known[0], known[-1]
    return y0 + (math.log10(value) - x0) / (x1 - x0) * (y1 - y0)


def test_points_of_the_plot_are_at_their_heights(faulty):
    result = compared(*faulty)
    rows = [row for row in result.rows if row.step == 2]
    picture = xml.etree.ElementTree.fromstring(plot.svg(rows, result.tolerance, 'a < b'))
    named = {}
    for element in picture.iter():
        named.setdefault(element.get('class'), []).append(element)
    decades = {float(e.get('data-value')): float(e.get('y1')) for e in named['decade']}
    assert {0.0, math.inf, 1e-4, 0.01} < set(decades)
    assert decades[math.inf] < decades[0.1] < decades[0.01] < decades[0.0]
    circles = {
        e.get('data-name'): (float(e.get('cx')), float(e.get('cy'))) for e in named['distance']
    }
    assert list(circles) == names_of(rows)
    assert [x for x, _ in circles.values()] == sorted(x for x, _ in circles.values())
    for name, expected in (('act:layer_1', 0.01), ('act:layer_2', 0.1)):
        assert circles[name][1] == pytest.approx(height(decades, expected), abs=0.15)
    assert circles['images'][1] == decades[0.0]
    assert [float(e.get('y1')) for e in named['tolerance']] == [
        pytest.approx(height(decades, 1e-4), abs=0.15)
    ]
    assert [float(e.get('x1')) for e in named['first']] == [circles['act:layer_1'][0]]
    crosses = {e.get('data-name'): e.get('d') for e in named['not_finite']}
    assert list(crosses) == ['grad:layer_0']
    width, tall = float(picture.get('width')), float(picture.get('height'))
    assert all(0 < x < width and 0 < y < tall for x, y in circles.values())
    words = ''.join(picture.itertext())
    assert (
        'log scale' in words
        and 'order of the graph' in words
        and 'first to depart: act:layer_1' in words
    )


def test_plot_of_many_tensors_and_of_one_sided_zeros(tmp_path):
    for i in range(900):
        put(tmp_path / 'a', f'op{i:03d}.0.{TIME}.npy', [1.0])
        put(tmp_path / 'b', f'op{i:03d}.0.{TIME}.npy', [0.0 if i % 2 else 1.0])
    result = compared(tmp_path / 'a', tmp_path / 'b')
    picture = xml.etree.ElementTree.fromstring(plot.svg(result.rows, result.tolerance, 'many'))
    assert float(picture.get('width')) < 5000
    marks = [e for e in picture.iter() if e.get('class') in ('distance', 'cosine')]
    assert len(marks) == 900 + 450  # no cosine where one side is all zero


def test_exit_statuses(faulty, tmp_path):
    a, b = faulty
    assert run(a, a)[0] == 0
    assert run(a, b, '--layer', 'act:layer_0')[0] == 0
    assert run(a, b, '--layer', 'layer_1')[0] == 3
    assert run(os.path.join(a, 'step_1'), os.path.join(b, 'step_1'))[0] == 0
    assert run(os.path.join(a, 'step_1'), os.path.join(b, 'step_1'), '--tolerance', '1e-7')[0] == 3
    shutil.copytree(os.path.join(a, 'step_1'), str(tmp_path / 'less'))
    entry = dump_reader.read(str(tmp_path / 'less'))[1][3]
    os.remove(entry.path)
    status, text, _ = run(str(tmp_path / 'less'), os.path.join(a, 'step_1'))
    assert status == 3 and 'only in B (1):\n  weight:layer_1, step 1' in text


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['{a}', '{a}/nowhere'], 'no such folder'),
        (['{a}'], 'required'),
        (['{a}', '{b}', '--tolerance', 'nan'], 'out of range'),
        (['{a}', '{b}', '--csv', '{a}/nowhere/x.csv'], 'no such folder'),
        (['{a}', '{b}', '--html', '{a}'], 'is a folder'),
        (['{a}', '{b}', '--layer', 'nothing'], 'matches'),
        (['{a}/step_1', '{empty}'], 'no tensors in it'),
    ],
)
def test_wrong_use_is_one_line_and_status_2(faulty, tmp_path, arguments, message):
    places = {'a': faulty[0], 'b': faulty[1], 'empty': str(tmp_path)}
    status, text, errors = run(*[argument.format(**places) for argument in arguments])
    assert status == 2 and errors.count('\n') == 1 and message in errors and not text


def test_no_tensorflow_is_imported():
    code = 'import sys, scripts.compare_dumps; sys.exit("tensorflow" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT).returncode == 0
