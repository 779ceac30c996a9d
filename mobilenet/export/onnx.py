"""ONNX by tf2onnx, in an environment of its own beside this one.

tf2onnx and onnxruntime want other versions of protobuf and flatbuffers than TensorFlow 1.15. The
environment has these alone, and finds TensorFlow in the one that runs.
"""

import os
import subprocess

from mobilenet import virtual_env
from mobilenet.errors import Failure
from mobilenet.export.inference_graph import INPUT, LOGITS, PROBABILITIES

# The newest for Python 3.7 (protobuf 3.20 of TensorFlow 1.15 goes with them), and what they import.
PACKAGES = [
    'tf2onnx==1.14.0',
    'onnx==1.14.1',
    'onnxruntime==1.14.1',
    'flatbuffers==2.0.7',
    'coloredlogs==15.0.1',
    'humanfriendly==10.0',
    'requests==2.31.0',
    'urllib3==2.0.7',
    'idna==3.7',
    'certifi==2024.7.4',
    'charset-normalizer==3.3.2',
]
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
    return virtual_env.python(folder, PACKAGES, options=['--no-deps'], lent=True)


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
    ended = subprocess.run(command, capture_output=True, errors='replace', env=env)
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip()] or ['no output']
        raise Failure(f'{what}: {lines[-1]}')
