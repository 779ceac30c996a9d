"""ONNX by tf2onnx, in an environment of its own beside this one.

tf2onnx and onnxruntime want other versions of protobuf and flatbuffers than TensorFlow 1.15. The
environment has these alone, and finds TensorFlow in the one that runs (a .pth file).
"""

import os
import subprocess
import sys
import sysconfig

from mobilenet.errors import Failure, UsageError
from mobilenet.export.inference_graph import INPUT, LOGITS, PROBABILITIES

# The newest for Python 3.7; protobuf 3.20 of TensorFlow 1.15 goes with them.
# PLAIN: what they import.
REQUIREMENTS = ('tf2onnx==1.14.0', 'onnx==1.14.1', 'onnxruntime==1.14.1')
PLAIN = (
    'flatbuffers==2.0.7',
    'coloredlogs==15.0.1',
    'humanfriendly==10.0',
    'requests==2.31.0',
    'urllib3==2.0.7',
    'idna==3.7',
    'certifi==2024.7.4',
    'charset-normalizer==3.3.2',
)
OPSET = 13

_RUN = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
rows = [
    session.run(['{logits}:0'], {{'{input}:0': image[None]}})[0]
    for image in numpy.load(sys.argv[2])
]
numpy.save(sys.argv[3], numpy.concatenate(rows))
"""


def environment(folder):
    """The environment's Python, made at the first use. Raises UsageError where pip cannot."""
    python = os.path.join(folder, 'bin', 'python')
    done = os.path.join(folder, 'installed')
    if os.path.exists(done):
        return python
    print(f'setting up {folder} for tf2onnx …', file=sys.stderr, flush=True)
    _call([sys.executable, '-m', 'venv', folder], 'making the environment for tf2onnx')
    packages = subprocess.run(
        [python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    with open(os.path.join(packages, 'tensorflow.pth'), 'w') as file:
        file.write(sysconfig.get_path('purelib') + '\n')
    install = [python, '-m', 'pip', 'install', '-q', '--no-deps', *REQUIREMENTS, *PLAIN]
    _call(install, 'installing tf2onnx')
    with open(done, 'w') as file:
        file.write('\n'.join(REQUIREMENTS) + '\n')
    return python


def _call(command, what):
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ended.returncode:
        lines = [line for line in ended.stdout.splitlines() if line.strip()] or ['no output']
        raise UsageError(f'{what} failed: {lines[-1]}')


def write(path, frozen, python):
    """path.onnx of a frozen graph. Raises Failure."""
    command = [python, '-W', 'ignore', '-m', 'tf2onnx.convert', '--graphdef', frozen]
    command += ['--inputs', f'{INPUT}:0', '--outputs', f'{LOGITS}:0,{PROBABILITIES}:0']
    _run(command + ['--opset', str(OPSET), '--output', path], 'tf2onnx')
    return path


def run(path, inputs, python, scratch):
    """Logits by onnxruntime, of one image after another. Raises Failure."""
    import numpy as np

    images, logits = [os.path.join(scratch, name) for name in ('images.npy', 'logits.npy')]
    np.save(images, inputs)
    program = _RUN.format(logits=LOGITS, input=INPUT)
    _run([python, '-W', 'ignore', '-c', program, path, images, logits], 'onnxruntime')
    return np.load(logits)


def _run(command, what):
    env = dict(os.environ, TF_CPP_MIN_LOG_LEVEL='2')
    ended = subprocess.run(command, capture_output=True, text=True, env=env)
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip()] or ['no output']
        raise Failure(f'{what}: {lines[-1]}')
