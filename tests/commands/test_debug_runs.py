"""Whole runs with the debugging flags: what is in the files against numpy; and nothing where
no flag is given.
"""

import inspect
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mobilenet.comparison import dump_reader
from mobilenet.nets import layers
from tests.helpers import runs

PLAIN = runs.environment()


@pytest.fixture(scope='module')
def looked_at(tmp_path_factory):
    """A pinned run with all that looks: (folder, {step: {name: array}})."""
    folder = tmp_path_factory.mktemp('looked_at')
    runs.train(
        folder,
        '--max_train_steps=4',
        '--deterministic',
        '--dump_steps=0,2-3',
        '--norms_every_steps=2',
        '--seed=7',
        '--histograms_every_steps=3',
        '--profile_steps=1',
        '--iterations_per_loop=4',
        env=PLAIN,
    )
    dumped = dump_reader.read(str(folder / 'dumps'))
    return folder, {step: {e.name: e.load() for e in entries} for step, entries in dumped.items()}


def batch_norm(x, gamma, beta):
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(variance + 0.001) * gamma + beta


def test_a_dump_holds_what_the_step_computed(looked_at):
    """The first layer by numpy from the dumped images and weights; the last layer's gradient from
    the dumped logits.
    """
    for step in (0, 2, 3):
        d = looked_at[1][step]
        images = d['images'].astype(np.float64)
        weights = d['weight:Conv2d_0/weights'].astype(np.float64)
        padded = np.pad(
            images, [(0, 0), (0, 1), (0, 1), (0, 0)], 'constant'
        )  # SAME at stride 2 of 32 pixels
        convolved = sum(
            np.tensordot(padded[:, y : y + 31 : 2, x : x + 31 : 2], weights[y, x], 1)
            for y in range(3)
            for x in range(3)
        )
        expected = np.clip(
            batch_norm(
                convolved, d['weight:Conv2d_0/BatchNorm/gamma'], d['weight:Conv2d_0/BatchNorm/beta']
            ),
            0,
            6,
        )
        np.testing.assert_allclose(d['act:Conv2d_0'], expected, atol=1e-4)

        logits, labels = d['act:Logits'].astype(np.float64), d['labels']
        pooled, last = d['act:global_pool'].astype(np.float64), 'weight:Logits/Conv2d_1c_1x1/'
        without_dropout = (
            pooled.reshape(8, -1) @ d[last + 'weights'][0, 0].astype(np.float64)
            + d[last + 'biases']
        )
        np.testing.assert_allclose(logits, without_dropout, atol=1e-4)
        e = np.exp(logits - logits.max(1, keepdims=True))
        softmax = e / e.sum(1, keepdims=True)
        classes = logits.shape[1]
        target = np.eye(classes)[labels] * 0.9 + 0.1 / classes
        assert d['loss'] == pytest.approx(-(target * np.log(softmax)).sum(1).mean(), rel=1e-5)
        np.testing.assert_allclose(
            d['grad:Logits/Conv2d_1c_1x1/biases'], (softmax - target).mean(0), atol=1e-6
        )


def test_weights_of_a_dump_are_from_before_the_step(looked_at):
    """Step 3's are step 2's moved by the momentum rule; step 0's are those of model.ckpt-0."""
    folder, d = looked_at
    begun = runs.weights(folder, 0)
    name = 'Conv2d_1_pointwise/weights'
    assert np.array_equal(begun['MobilenetV1/' + name], d[0]['weight:' + name])
    assert not begun[f'MobilenetV1/{name}/Momentum'].any()
    rates = {m['step']: m['learning_rate'] for m in runs.metrics(folder)}
    moved = d[2]['weight:' + name].astype(np.float64) - d[3]['weight:' + name]
    velocity = (
        moved / rates[3]
    )  # after step 2; the last step adds momentum * velocity to its gradient
    ended = runs.weights(folder, 4)['MobilenetV1/' + name].astype(np.float64)
    expected = d[3]['weight:' + name] - rates[4] * (0.9 * velocity + d[3]['grad:' + name])
    np.testing.assert_allclose(ended, expected, atol=2e-6)


def index(folder, step):
    with open(str(folder / 'dumps' / f'step_{step:06d}' / 'index.jsonl')) as file:
        return [json.loads(line) for line in file]


def test_names_and_index_of_a_dump(looked_at):
    """Golden names; the index in order of computation: weights before their activation, activations
    by depth, then gradients from the end.
    """
    folder = looked_at[0] / 'dumps' / 'step_000002'
    lines = index(looked_at[0], 2)
    assert [line['position'] for line in lines] == list(range(len(lines)))
    assert {line['file'] for line in lines} | {'index.jsonl'} == set(os.listdir(str(folder)))
    names = [line['name'] for line in lines]
    order = [
        'images',
        'weight:Conv2d_0/weights',
        'act:Conv2d_0',
        'weight:Conv2d_1_depthwise/BatchNorm/gamma',
        'act:Conv2d_1_depthwise',
        'act:Conv2d_1_pointwise',
        'act:Logits',
        'loss',
        'total_loss',
        'grad:Logits/Conv2d_1c_1x1/biases',
        'grad:Conv2d_0/weights',
    ]
    assert [names.index(n) for n in order] == sorted(names.index(n) for n in order)
    line = lines[names.index('act:Conv2d_1_pointwise')]
    stamp = line['file'].split('.')[2]
    assert (
        line['file'] == f'MobilenetV1_Conv2d_1_pointwise_Relu6.0.{stamp}.npy'
        and len(stamp) == 16
        and stamp.isdigit()
    )
    assert [op['type'] for op in line['ops']] == ['Conv2D', 'FusedBatchNormV3', 'Relu6']
    assert line['layer'] == 'Conv2d_1_pointwise'
    assert 'relu6' in inspect.getsource(layers).splitlines()[line_number(line) - 1]


def line_number(line):
    """Of the code in layers.py that a line of a dump's index names."""
    path, number = line['source'].split()[0].split(':')
    assert path == 'mobilenet/nets/layers.py'
    return int(number)


@pytest.mark.parametrize(
    'name,function,op',
    [
        ('Conv2d_1_pointwise/weights', 'conv2d', 'Conv2DBackpropFilter'),
        (
            'Conv2d_1_depthwise/depthwise_weights',
            'depthwise_conv2d',
            'DepthwiseConv2dNativeBackpropFilter',
        ),
        ('Conv2d_1_depthwise/BatchNorm/gamma', 'batch_norm', 'FusedBatchNormGradV3'),
        ('Logits/Conv2d_1c_1x1/biases', 'add_biases', 'BiasAddGrad'),
    ],
)
def test_a_gradient_is_of_the_line_of_its_layer(looked_at, name, function, op):
    """Not of those that unscale and decay all gradients, of which the last op is one."""
    line = {line['name']: line for line in index(looked_at[0], 2)}['grad:' + name]
    code, first = inspect.getsourcelines(getattr(layers, function))
    assert first <= line_number(line) < first + len(code)
    *before, last = line['ops']
    assert before[-1]['type'] == op and last['op'] == line['op'] != before[-1]['op']
    if name.endswith('/weights'):  # as on any other device
        assert line['op'] == f'decayed/MobilenetV1/{name}'


def test_a_pinned_run_takes_the_files_in_order(looked_at):
    """--deterministic: no shuffling, no augmentation: batch k has the records 8k to 8k + 7, as an
    evaluation sees them.
    """
    import data
    from data import peek

    dataset = data.open_dataset('digits', None, 'train')
    pipeline = data.TrainPipeline(dataset, 8, 32, 'none', augment=False)
    for step in (0, 2, 3):
        assert list(pipeline.records(step)) == list(range(8 * step, 8 * step + 8))
        images, labels = peek.read_batch(pipeline, step)
        assert np.array_equal(looked_at[1][step]['images'], images) and np.array_equal(
            looked_at[1][step]['labels'], labels
        )
        assert list(labels) == [dataset.read(8 * step + i)[1] for i in range(8)]


def test_norms_and_histograms_are_those_of_the_dump(looked_at):
    import tensorflow as tf

    folder, d = looked_at
    seen = {}
    for path in folder.glob('events*'):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                seen[event.step, value.tag] = value
    for step in (0, 2):  # at the global_step that they lead to, as the metrics are
        for name in ('Conv2d_0/weights', 'Conv2d_1_pointwise/BatchNorm/gamma'):
            assert seen[step + 1, 'gradient_norm/' + name].simple_value == pytest.approx(
                np.linalg.norm(d[step]['grad:' + name]), rel=1e-5
            )
            assert seen[step + 1, 'weight_norm/' + name].simple_value == pytest.approx(
                np.linalg.norm(d[step]['weight:' + name]), rel=1e-5
            )
    assert (2, 'gradient_norm/Conv2d_0/weights') not in seen
    assert (3, 'loss') in seen
    histogram = seen[4, 'activations/Conv2d_1_pointwise'].histo
    assert (
        histogram.num == d[3]['act:Conv2d_1_pointwise'].size
        and histogram.max == d[3]['act:Conv2d_1_pointwise'].max()
    )
    assert seen[1, 'gradients/Conv2d_0/weights'].histo.num == d[0]['grad:Conv2d_0/weights'].size


def test_a_profile_of_a_step(looked_at):
    folder = looked_at[0] / 'profile'
    trace = json.load(open(str(folder / 'timeline_step_000001.json')))
    names = [e.get('args', {}).get('name', '') for e in trace['traceEvents'] if e.get('ph') == 'X']
    assert any('Conv2d_1_pointwise' in n for n in names)
    table = open(str(folder / 'ops_step_000001.txt')).read()
    row = next(
        line.split()
        for line in table.splitlines()
        if line.split()[-1:] == ['DepthwiseConv2dNativeBackpropFilter']
    )
    assert row[0] == '1'  # of the short network


def test_looking_changes_nothing(looked_at, tmp_path):
    runs.train(tmp_path, '--max_train_steps=4', '--deterministic', '--seed=7', env=PLAIN)
    runs.assert_same_bits(runs.weights(looked_at[0], 4), runs.weights(tmp_path, 4))


def graph_size(*flags):
    done = subprocess.run(
        [sys.executable, os.path.join(runs.ROOT, 'tests', 'helpers', 'graph_size.py')]
        + runs.SMALL
        + list(flags),
        env=runs.environment(PYTHONPATH=runs.ROOT),
        stdout=subprocess.PIPE,
        text=True,
        timeout=500,
    )
    return json.loads(done.stdout)


def test_without_flags_there_is_no_op_more_and_no_debugger(tmp_path):
    folder = f'--train_dir={tmp_path / "run"}'
    without = graph_size(folder)
    assert without['built'] == without['plain'] and not without['debug']
    assert without['plain']['loop'] > 450  # the step is in there
    stepped = graph_size(folder, '--step')  # these counts can fail
    assert stepped['built']['top'] > without['plain']['top'] and stepped['debug']
    assert stepped['built']['loop'] != without['plain']['loop']


@pytest.mark.parametrize(
    'flags,said',
    [
        (['--dump_tensors=act:*'], 'does nothing without --dump_steps'),
        (['--dump_steps=3-1'], 'use such as 0,10-12'),
        (['--dump_steps=0', '--dump_tensors=act:Conv2d_77'], 'nothing is named act:Conv2d_77'),
        (['--dump_steps=1', '--dump_dir=/proc/x'], '--dump_dir=/proc/x/: No such file'),
        (['--step', '--rank_table=hccl_2p.json'], '--step is for one device'),
        (['--step_script=nowhere.txt'], 'no such file'),
    ],
)
def test_wrong_flags(tmp_path, flags, said):
    done = runs.train(tmp_path / 'run', *flags, env=PLAIN, check=False)
    assert (
        done.returncode == 2
        and said in done.stderr.strip().splitlines()[-1]
        and 'Traceback' not in done.stderr
    )


def test_profile_steps_are_for_the_host(tmp_path):
    done = runs.train(
        tmp_path,
        '--profile_steps=1',
        '--device=npu',
        env=runs.environment(PYTHONPATH=runs.NPU_SIM),
        check=False,
    )
    assert done.returncode == 2 and '--profile_steps is for --device=host' in done.stderr
