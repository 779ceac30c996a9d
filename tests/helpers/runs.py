"""Runs the real commands on the digits, small: what tests of whole runs share."""

import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np

from tests.helpers import ROOT, command_server

SMALL = [
    '--dataset_name=digits',
    '--preprocessing_name=none',
    '--image_size=32',
    '--batch_size=8',
    '--model_name=mobilenet_v1_025',
    '--learning_rate=0.05',
    '--warmup_epochs=0',
    '--data_threads=2',
]
NPU_SIM = os.path.join(ROOT, 'tests', 'npu_sim')
SHORT_NETWORKS = command_server.SHORT_NETWORKS


# Of a batch norm's own statistics, which ranks do not share.
OF_THE_RANK = (
    'moving_mean',
    'moving_variance',
    'moving_mean/ExponentialMovingAverage',
    'moving_variance/ExponentialMovingAverage',
)


def environment(whole_network=False, **extra):
    """The environment of a command: no rank's variables, quiet; `extra` on top.

    whole_network: else the networks have a few blocks (tests/short_networks), for tests that are
    about the run: which takes half the time.
    """
    env = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(('RANK_', 'MOBILENET_', 'ASCEND_', 'PYTEST_'))
    }
    env.update({'TF_CPP_MIN_LOG_LEVEL': '2'}, **extra)
    path = [] if whole_network else [SHORT_NETWORKS]
    env['PYTHONPATH'] = os.pathsep.join(path + [p for p in [env.get('PYTHONPATH')] if p])
    return env


def command(script, *arguments):
    return [sys.executable, os.path.join(ROOT, script)] + list(arguments)


def train(train_dir, *arguments, env=None, check=True, timeout=500):
    """Runs train_loop.py with SMALL's flags; gives the finished process (text output)."""
    arguments = [*SMALL, f'--train_dir={train_dir}', *arguments]
    started_by_others = any(word.startswith('--rank_table') for word in arguments)
    run = finished if started_by_others or not check else served
    done = run('train_loop.py', arguments, env or environment(), timeout)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def evaluate(*arguments, env=None):
    return served('eval_loop.py', arguments, env or environment(), 500)


def served(script, arguments, env, timeout, cwd='.'):
    """A finished process whose TensorFlow another has imported, where that is the same."""
    words = command(script, *arguments)[1:]
    done = command_server.run(words, env, timeout, cwd)
    return finished(script, arguments, env, timeout, cwd) if done is None else done


def finished(script, arguments, env, timeout, cwd='.'):
    how = {'env': env, 'timeout': timeout, 'cwd': str(cwd)}
    return subprocess.run(command(script, *arguments), capture_output=True, text=True, **how)


def weights(train_dir, step):
    """{name: value} of every variable in a checkpoint."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(os.path.join(str(train_dir), f'model.ckpt-{step}'))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_bits(one, other, but=()):
    """Every variable equal bit for bit; names that end with one of `but` are left out."""
    assert set(one) == set(other)
    different = [
        n
        for n in one
        if not n.endswith(tuple(but) or ('\0',))
        and not np.array_equal(
            one[n].view(np.uint8) if one[n].ndim else one[n],
            other[n].view(np.uint8) if other[n].ndim else other[n],
        )
    ]
    assert not different, different[:5]


def metrics(train_dir):
    with open(os.path.join(str(train_dir), 'metrics.jsonl')) as f:
        return [json.loads(line) for line in f]


def log_of(folder, rank):
    with open(os.path.join(str(folder), f'train_rank_{rank}.log' if rank else 'train.log')) as f:
        return f.read()


def digests(folder, num_ranks):
    """The last digest in each rank's log."""
    return [
        re.findall(r'weights sha256 ([0-9a-f]{64})$', log_of(folder, rank), re.M)[-1]
        for rank in range(num_ranks)
    ]


def digest_of_checkpoint(folder, step):
    """What the digest of a rank's log must be, from rank 0's checkpoint."""
    whole = hashlib.sha256()
    for name, value in sorted(weights(folder, step).items()):
        if not name.endswith(OF_THE_RANK):
            value = np.asarray(value)
            whole.update(f'{name} {value.dtype} {value.shape};'.encode() + value.tobytes())
    return whole.hexdigest()
