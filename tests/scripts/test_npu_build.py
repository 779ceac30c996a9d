"""An NPU's adapter does not go with TensorFlow's oneDNN build: set-up and training say so."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers import ROOT, runs


@pytest.fixture
def adapter(tmp_path):
    """A folder with a package npu_bridge with a compiled library."""
    (tmp_path / 'adapter' / 'npu_bridge').mkdir(parents=True)
    (tmp_path / 'adapter' / 'npu_bridge' / '__init__.py').write_text('raise ImportError("ABI")')
    (tmp_path / 'adapter' / 'npu_bridge' / '_tf_adapter.so').write_text('')
    return str(tmp_path / 'adapter')


def test_training(adapter):
    done = subprocess.run(
        runs.command('train_loop.py', '--device=npu', '--dataset_name=synthetic'),
        env=runs.environment(PYTHONPATH=adapter),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and 'TF_BUILD=system' in done.stderr.splitlines()[-1]


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
