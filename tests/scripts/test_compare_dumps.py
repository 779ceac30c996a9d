"""compare_dumps.py by real processes: table, CSV, page and plot of a comparison."""

import csv
import html.parser
import math
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest

from mobilenet.comparison import dump_files, dump_reader, plot, statistics
from tests.helpers import ROOT
from tests.helpers.dump_cases import TIME, network, plain_figures, put, tensor
from tests.mobilenet.comparison.test_comparison import compared, names_of


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
    """(A, B): steps 1 and 2; in 2 a fault, NaN, something missing; in both a name that HTML and CSV
    would misread.
    """
    folder = tmp_path_factory.mktemp('faulty')
    for step in (1, 2):
        common = [tensor('scope/<b>&",:0', 50, [1.0], 'scope/<b>&",')]
        fault = (
            {'weight:layer_1': 1 + 2e-6} if step == 1 else {'act:layer_1': 1.01, 'act:layer_2': 1.1}
        )
        a = network(fault) + common
        if step == 2:
            a[-2].value[0] = np.nan
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
    assert text.startswith('first to differ: act:layer_1, layer layer_1, ')
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
        'differs',
        'equal',
        'differs',
    ] + ['equal'] * 5 + ['differs', 'equal', 'only in B']
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
    assert any('act:layer_1 differs first' in data for tag, data in page.texts if tag == 'title')


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
        and 'first to differ: act:layer_1' in words
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
