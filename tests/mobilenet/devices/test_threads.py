"""The rule for threads and kernels, and what wins over it."""

import json
import os
import subprocess
import sys

import pytest
from tensorflow.python import pywrap_tensorflow

from mobilenet import nets
from mobilenet.devices import threads
from tests.helpers import ROOT
import train_loop


@pytest.mark.parametrize(
    'model_name,size,batch,expected',
    [
        ('mobilenet_v1_025', 32, 8, (1, 2, 'plain')),
        ('mobilenet_v1_025', 96, 32, (1, 2, 'onednn')),
        ('mobilenet_v1', 224, 32, (2, 1, 'onednn')),
    ],
)
def test_rule_takes_what_was_fastest_on_two_cores(model_name, size, batch, expected):
    kernels = threads.kernels(model_name, size, batch)
    assert threads.choose(model_name, size, batch, kernels, 2) == expected


@pytest.mark.parametrize('model_name', nets.MODEL_NAMES)
def test_never_more_threads_than_cores_nor_fewer_with_more_work(model_name):
    for cores in (1, 2, 4, 16):
        omp = [
            threads.choose(model_name, size, 32, 'onednn', cores).omp for size in (32, 96, 224, 512)
        ]
        assert omp == sorted(omp) and 1 <= omp[0] and omp[-1] <= cores


def kernels(*argv):
    flags = ('--device=host', '--dataset_name=digits', '--model_name=mobilenet_v1_025')
    return train_loop.parse(flags + argv).kernels


def test_environment_then_flag_then_the_run_that_is_resumed_then_the_rule(tmp_path, monkeypatch):
    monkeypatch.delenv('TF_DISABLE_MKL', raising=False)
    small = ('--image_size=32', '--batch_size=8', f'--train_dir={tmp_path}')
    assert kernels(*small) == 'plain'
    (tmp_path / 'config.json').write_text(json.dumps({'kernels': 'onednn'}))
    assert kernels(*small) == 'onednn'
    (tmp_path / 'config.json').write_text(json.dumps({'batch_size': 8}))  # of before the flag
    assert kernels(*small) == 'onednn'
    assert kernels('--kernels=plain', *small) == 'plain'
    monkeypatch.setenv('TF_DISABLE_MKL', '0')
    assert kernels('--kernels=plain', *small) == 'onednn'


RUN_A_CONVOLUTION = """
import argparse, sys
{first}
from mobilenet import devices
sizes = dict(model_name='mobilenet_v1_025', image_size=32, batch_size=8)
tf = devices.import_tensorflow(argparse.Namespace(kernels='{kernels}', **sizes))
y = tf.nn.conv2d(tf.ones([1, 8, 8, 4]), tf.random.uniform([3, 3, 4, 4]), 1, 'SAME')
metadata = tf.RunMetadata()
with tf.Session() as sess:
    sess.run(y, None, tf.RunOptions(output_partition_graphs=True), metadata)
print(*[node.op for graph in metadata.partition_graphs for node in graph.node])
"""


def convolution_of(kernels, first=''):
    """Of a process without the suite's own TF_DISABLE_MKL."""
    environment = {k: v for k, v in os.environ.items() if k != 'TF_DISABLE_MKL'}
    return subprocess.run(
        [sys.executable, '-c', RUN_A_CONVOLUTION.format(kernels=kernels, first=first)],
        env=dict(environment, PYTHONPATH=ROOT),
        capture_output=True,
        text=True,
    )


def test_the_kernels_chosen_are_those_that_run():
    assert 'Conv2D' in convolution_of('plain').stdout.split()
    if pywrap_tensorflow.IsMklEnabled():
        assert '_MklConv2D' in convolution_of('onednn').stdout.split()


def test_kernels_chosen_too_late_are_an_error():
    """TensorFlow reads the choice while it is imported: what runs would not be what is written."""
    assert 'AssertionError' in convolution_of('plain', first='import tensorflow').stderr
