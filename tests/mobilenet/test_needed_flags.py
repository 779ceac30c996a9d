"""Flags that do nothing without others, empty ones, what config.json says for them."""

import json
import re

import pytest

from data import DATASET_NAMES, PREPROCESSING_NAMES
from mobilenet import configuration, flags
from mobilenet.devices import host_rules
from mobilenet.errors import UsageError
import train_loop

EVALUATION = flags.evaluation(DATASET_NAMES, PREPROCESSING_NAMES)
ONE_DEVICE = '--rank_table (hccl_1p.json for one device)'


def training(*argv):
    return train_loop.parse(['--device=host', '--dataset_name=digits', *argv])


def evaluation(*argv, **defaults):
    argv = ['--device=host', '--dataset_name=digits', '--checkpoint_path=w', *argv]
    return configuration.resolve('eval_loop.py', '', EVALUATION, argv, defaults)


@pytest.fixture(autouse=True)
def no_rank(monkeypatch):
    monkeypatch.delenv('RANK_ID', raising=False)


@pytest.mark.parametrize(
    'parse,given,needed',
    [
        (training, '--dump_dir=x', '--dump_steps'),
        (training, '--ignore_missing_vars', '--checkpoint_path'),
        (training, '--server_id=127.0.0.1', ONE_DEVICE),
        (training, '--max_restarts=3', ONE_DEVICE),
        (training, '--check_weights_every=5', '--rank_table'),
        (training, '--num_epochs_per_decay=3', '--learning_rate_decay_type=exponential'),
        (evaluation, '--follow_timeout=5', '--follow'),
    ],
)
def test_what_is_missing_is_said(parse, given, needed):
    words = f'{given.split("=")[0]} does nothing without {needed}'
    with pytest.raises(UsageError, match=f'^{re.escape(words)}$'):
        parse(given)


def test_with_what_they_need_they_are_taken():
    assert evaluation('--follow', '--follow_timeout=5').follow_timeout == 5
    assert training('--rank_table=hccl_2p.json', '--check_weights_every=5').check_weights_every == 5
    assert training('--new_training=false').new_training is False  # asks for nothing
    decay = ['--learning_rate_decay_type=exponential', '--num_epochs_per_decay=3']
    assert training(*decay).num_epochs_per_decay == 3


def test_a_rank_of_another_launcher_may_have_the_flags_of_all(monkeypatch):
    """RANK_ID stands for a rank table, and for nothing else."""
    monkeypatch.setenv('RANK_ID', '0')
    assert training('--check_weights_every=5', '--max_restarts=3').max_restarts == 3
    for given in ('--max_restarts=3', '--check_weights_every=5', '--seed=1'):
        with pytest.raises(UsageError, match='^--dump_dir does nothing without --dump_steps$'):
            training(given, '--dump_dir=x')
    with pytest.raises(UsageError, match='^--num_epochs_per_decay does nothing without'):
        training('--max_restarts=3', '--num_epochs_per_decay=3')


def test_a_device_has_the_last_word(monkeypatch):
    def refuse(config):
        raise UsageError(f'no seed {config.seed} here')

    monkeypatch.setattr(host_rules, 'check', refuse)
    with pytest.raises(UsageError, match='^no seed 7 here$'):
        training('--seed=7')


def test_an_empty_value_is_no_wish_for_the_default():
    with pytest.raises(
        UsageError, match='^--train_dir is empty: give it a value, or leave it out$'
    ):
        training('--train_dir=')


def test_choices_of_a_config_json_are_checked():
    assert evaluation(preprocessing_name='vgg').preprocessing_name == 'vgg'
    with pytest.raises(
        UsageError, match='^--preprocessing_name=odd, of config.json, is none of .*vgg'
    ):
        evaluation(preprocessing_name='odd')


@pytest.mark.parametrize(
    'before,kernels',
    [({'kernels': 'plain'}, 'plain'), ({'kernels': 'onednn'}, 'onednn'), ({'seed': 1}, 'onednn')],
)
def test_a_resumed_run_keeps_its_kernels(tmp_path, monkeypatch, before, kernels):
    """Of runs of before --kernels, oneDNN's. By itself a step so small has plain ones."""
    monkeypatch.delenv('TF_DISABLE_MKL', raising=False)
    small = ['--model_name=mobilenet_v1_025', '--image_size=32', '--batch_size=8']
    small.append(f'--train_dir={tmp_path}')
    assert training(*small).kernels == 'plain'
    (tmp_path / 'config.json').write_text(json.dumps(before))
    assert training(*small).kernels == kernels
