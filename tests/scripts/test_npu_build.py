"""An NPU's adapter does not go with TensorFlow's oneDNN build: setup.sh and the run scripts say so."""

import os
import shutil
import subprocess
import sys

import pytest

from mobilenet.errors import UsageError
from scripts import reference_run
from tests.helpers import ROOT


@pytest.fixture
def adapter(tmp_path):
    """A folder with a package npu_bridge, which does not import."""
    (tmp_path / 'adapter' / 'npu_bridge').mkdir(parents=True)
    (tmp_path / 'adapter' / 'npu_bridge' / '__init__.py').write_text('raise ImportError("ABI")')
    return str(tmp_path / 'adapter')


@pytest.mark.parametrize('build,refused', [('onednn', True), ('system', False), ('stock', False)])
def test_run_scripts(adapter, tmp_path, monkeypatch, build, refused):
    (tmp_path / '.setup-stamp').write_text(build + ' /usr/bin/python3.7 1 2\n')
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))
    monkeypatch.syspath_prepend(adapter)
    argv = ['--case=full', '--ranks=1', '--device=npu']
    if not refused:
        assert reference_run.parse(argv)[0].device == 'npu'
        return
    with pytest.raises(UsageError, match='TF_BUILD=system'):
        reference_run.parse(argv)
    assert reference_run.parse(argv[:2] + ['--device=host'])[0].device == 'host'


def test_setup(adapter, tmp_path):
    """In a copy of the project: what is there stays."""
    for name in ('scripts', 'requirements'):
        shutil.copytree(os.path.join(ROOT, name), str(tmp_path / name))
    (tmp_path / '.venv' / 'bin').mkdir(parents=True)
    (tmp_path / '.venv' / 'bin' / 'python').symlink_to(sys.executable)
    done = subprocess.run(
        ['bash', str(tmp_path / 'scripts' / 'setup.sh')],
        env=dict(os.environ, PYTHONPATH=adapter, PYTHON=sys.executable, TF_BUILD='onednn'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and 'TF_BUILD=system' in done.stderr
    assert (tmp_path / '.venv' / 'bin' / 'python').exists()
