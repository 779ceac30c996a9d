"""plot_run.py: its curves are the numbers of the files, and its page stands alone."""

import json
import os
import subprocess

import pytest

from scripts import plot_run
from tests.helpers import runs


def write_run(folder, steps, evaluations=()):
    folder.mkdir()
    lines = [
        {'step': s, 'epoch': s / 10, 'loss': 2.0 / s, 'accuracy': s / 100, 'learning_rate': 0.1,
         'loss_scale': 4096.0, 'skipped_steps': 0, 'images_per_sec': 50.0 + s}
        for s in steps
    ]  # fmt: skip
    odd = ['', 'half a li', '[1, 2]', '{"step": "x"}', json.dumps(dict(lines[0], loss=None))]
    (folder / 'metrics.jsonl').write_text('\n'.join([json.dumps(x) for x in lines] + odd) + '\n')
    (folder / 'eval.jsonl').write_text(
        ''.join(json.dumps({'step': s, 'top1': t}) + '\n' for s, t in evaluations)
    )


def test_the_curves_are_the_numbers_of_the_files(tmp_path):
    write_run(tmp_path / 'a', [10, 20, 30], [(30, 0.5), (10, 0.25)])
    figure = plot_run.draw([plot_run.Run(str(tmp_path / 'a'))])
    loss, accuracy = figure.axes[:2]
    assert loss.lines[0].get_xydata().tolist() == [[10, 0.2], [20, 0.1], [30, 2 / 30]]
    assert accuracy.lines[1].get_xydata().tolist() == [[10, 0.25], [30, 0.5]]


def script(*arguments):
    return subprocess.run(
        runs.command('scripts/plot_run.py', *arguments),
        env=runs.environment(),
        capture_output=True,
        text=True,
    )


def test_a_page_that_needs_no_other_file(tmp_path):
    write_run(tmp_path / '$x$ <b>', [10, 20], [(20, 0.75)])
    write_run(tmp_path / '测试', [5])
    done = script(tmp_path / '$x$ <b>', tmp_path / '测试', '--output', tmp_path / 'out.png')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'out.png').stat().st_size > 10000
    page = (tmp_path / 'out.html').read_text(encoding='utf-8')
    assert '<svg' in page and '0.7500' in page and '$x$ &lt;b&gt;' in page and '测试' in page
    assert '<b>' not in page and 'src=' not in page and '<link' not in page


@pytest.mark.parametrize('arguments', [['/no/such'], ['.', '--output=x.jpg'], []])
def test_wrong_use(tmp_path, arguments):
    done = subprocess.run(
        runs.command(os.path.join(runs.ROOT, 'scripts', 'plot_run.py'), *arguments),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
