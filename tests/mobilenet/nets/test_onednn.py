"""What is about oneDNN's kernels: in a process of its own, because a process has one kind."""

import os
import shutil
import subprocess
import sys

from tests.helpers import ROOT

CASES = (
    'onednn_cases.py',
    'native_cases.py',
    'test_layers.py::test_depthwise_weight_gradient_at_small_sizes',
    'test_keras.py::test_forward_gradients_and_statistics[mobilenet_v1_025-96-True]',
)


def test_gradients_and_a_network_with_onednn():
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-xq', '-o', 'addopts=-p no:cacheprovider', *CASES],
        env=dict(os.environ, TF_DISABLE_MKL='0'),
        cwd=os.path.join(ROOT, 'tests', 'mobilenet', 'nets'),
        stdout=subprocess.PIPE,
        text=True,
    )
    passed = '26 passed' if shutil.which('g++') else '7 passed'
    assert done.returncode == 0 and passed in done.stdout, done.stdout
