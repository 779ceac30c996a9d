"""The rule for threads and kernels, and what wins over it."""

import json

import pytest

from mobilenet import nets
from mobilenet.devices import threads
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
