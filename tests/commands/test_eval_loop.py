"""eval_loop.py: every image once, EMA or raw weights, folders in order, --follow; figures against numpy."""

import csv
import json
import os
import subprocess
import time

import numpy as np
import pytest

from tests.helpers import runs


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    runs.train(
        folder,
        '--max_train_steps=30',
        '--iterations_per_loop=10',
        '--save_every_steps=10',
        '--batch_size=32',
        env=runs.environment(**runs.PLAIN_KERNELS),
    )
    return folder


def lines(folder):
    with open(os.path.join(str(folder), 'eval.jsonl')) as f:
        return [json.loads(line) for line in f]


def test_a_folder_is_evaluated_in_order_of_step_and_every_image_counts_once(trained, tmp_path):
    done = runs.evaluate(
        f'--checkpoint_path={trained}', f'--eval_dir={tmp_path}', '--batch_size=50'
    )
    assert done.returncode == 0, done.stderr
    found = lines(tmp_path)
    assert [line['step'] for line in found] == [10, 20, 30]
    assert all(line['images'] == 359 and line['ema'] for line in found)
    assert all(0 <= line['top1'] <= line['top5'] <= 1 for line in found)
    assert done.stdout.count('top1') == 3
    logs = [n for n in os.listdir(str(tmp_path)) if n.startswith('eval_') and n.endswith('.log')]
    assert len(logs) == 1 and 'top1' in open(str(tmp_path / logs[0])).read()


@pytest.mark.parametrize('batch_size', [1 << 9, 7])
def test_figures_do_not_depend_on_the_batch_size(trained, tmp_path, batch_size):
    path = os.path.join(str(trained), 'model.ckpt-30')
    for size in (batch_size, 64):
        done = runs.evaluate(
            '--checkpoint_path=' + path,
            f'--eval_dir={tmp_path}',
            f'--batch_size={size}',
            '--no_ema',
        )
        assert done.returncode == 0, done.stderr
    one, other = lines(tmp_path)
    assert one == other and not one['ema']


def test_per_class_files(trained, tmp_path):
    done = runs.evaluate(
        '--checkpoint_path={}'.format(os.path.join(str(trained), 'model.ckpt-30')),
        f'--eval_dir={tmp_path}',
        '--per_class',
    )
    assert done.returncode == 0, done.stderr
    with open(str(tmp_path / 'confusion-30.csv')) as f:
        table = list(csv.reader(f))
    counts = np.array([row[1:] for row in table[1:]], int)
    assert table[0][1:] == [
        'zero',
        'one',
        'two',
        'three',
        'four',
        'five',
        'six',
        'seven',
        'eight',
        'nine',
    ]
    assert counts.sum() == 359
    assert np.trace(counts) / 359 == pytest.approx(lines(tmp_path)[0]['top1'])
    from sklearn import datasets

    np.testing.assert_array_equal(
        counts.sum(1), np.bincount(datasets.load_digits().target[4::5], minlength=10)
    )
    assert open(str(tmp_path / 'confusion-30.png'), 'rb').read(4) == b'\x89PNG'


def test_follow_takes_checkpoints_as_they_come(trained, tmp_path):
    watched = tmp_path / 'watched'
    watched.mkdir()
    process = subprocess.Popen(
        runs.command(
            'eval_loop.py',
            f'--checkpoint_path={watched}',
            '--follow',
            '--follow_timeout=20',
            '--dataset_name=digits',
            '--preprocessing_name=none',
            '--image_size=32',
            '--model_name=mobilenet_v1_025',
        ),
        env=runs.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    time.sleep(2)
    for step in (10, 30):
        for suffix in ('.data-00000-of-00001', '.index'):  # the index last, as a save does
            name = f'model.ckpt-{step}{suffix}'
            with open(os.path.join(str(trained), name), 'rb') as source:
                (watched / name).write_bytes(source.read())
        time.sleep(1)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert [line['step'] for line in lines(watched)] == [10, 30]
