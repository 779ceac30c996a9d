"""eval_loop.py: every image once, EMA or raw, folders in order, --follow, weights of others;
figures against numpy.
"""

import csv
import glob
import json
import os
import shutil
import subprocess
import time

import numpy as np
import pytest

from mobilenet.export import formats
from tests.helpers import runs, slim_network


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    runs.train(
        folder,
        '--max_train_steps=30',
        '--iterations_per_loop=10',
        '--save_every_steps=10',
        '--batch_size=32',
        env=runs.environment(),
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
    (events,) = glob.glob(str(tmp_path / 'validation' / 'events.out.tfevents.*'))
    assert curve_of(events) == {line['step']: pytest.approx(line['top1']) for line in found}


def curve_of(path):
    import tensorflow as tf

    return {
        event.step: value.simple_value
        for event in tf.train.summary_iterator(path)
        for value in event.summary.value
        if value.tag == 'accuracy'
    }


def test_figures_do_not_depend_on_the_batch_size(trained, tmp_path):
    path = os.path.join(str(trained), 'model.ckpt-30')
    for size in (64, 512, 7):
        done = runs.evaluate(
            '--checkpoint_path=' + path,
            f'--eval_dir={tmp_path}',
            f'--batch_size={size}',
            '--no_ema',
        )
        assert done.returncode == 0, done.stderr
    one, *others = lines(tmp_path)
    assert others == [one, one] and not one['ema']


@pytest.fixture(scope='module')
def alone(trained, tmp_path_factory):
    """The folder of an evaluation of the last checkpoint alone."""
    folder = tmp_path_factory.mktemp('alone')
    path = os.path.join(str(trained), 'model.ckpt-30')
    done = runs.evaluate(f'--checkpoint_path={path}', f'--eval_dir={folder}', '--per_class')
    assert done.returncode == 0, done.stderr
    return folder


def test_per_class_files(alone):
    with open(str(alone / 'confusion-30.csv')) as f:
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
    assert np.trace(counts) / 359 == pytest.approx(lines(alone)[0]['top1'])
    from sklearn import datasets

    np.testing.assert_array_equal(
        counts.sum(1), np.bincount(datasets.load_digits().target[4::5], minlength=10)
    )
    assert open(str(alone / 'confusion-30.png'), 'rb').read(4) == b'\x89PNG'


def test_follow_takes_checkpoints_as_they_come(trained, tmp_path):
    watched = tmp_path / 'watched'
    watched.mkdir()
    process = subprocess.Popen(
        runs.command(
            'eval_loop.py',
            f'--checkpoint_path={watched}',
            '--follow',
            '--follow_timeout=6',
            '--dataset_name=digits',
            '--preprocessing_name=none',
            '--image_size=32',
            '--model_name=mobilenet_v1_025',
        ),
        env=runs.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = next((line for line in process.stderr if line.startswith('waiting')), None)
    assert said == f'waiting for new checkpoints in {watched}, until 6 s without one\n'
    copy_checkpoint(trained, 10, watched)
    evaluated, end = watched / 'eval.jsonl', time.time() + 400
    while not (evaluated.exists() and evaluated.read_bytes().endswith(b'\n')):
        assert process.poll() is None and time.time() < end
        time.sleep(0.05)
    copy_checkpoint(trained, 30, watched)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert [line['step'] for line in lines(watched)] == [10, 30]


def test_follow_waits_for_the_flags_of_a_training_that_has_yet_to_begin(trained, tmp_path):
    """With the defaults of the flags it would evaluate another network."""
    process = runs.evaluate(f'--checkpoint_path={tmp_path / "none"}', '--follow')
    assert process.returncode == 2 and 'no such checkpoint or folder' in process.stderr
    arguments = [f'--checkpoint_path={tmp_path}', '--follow', '--follow_timeout=1']
    process = runs.evaluate(*arguments)
    assert process.returncode == 2 and 'no training began there in 1 s' in process.stderr
    arguments[-1] = '--follow_timeout=8'
    process = subprocess.Popen(
        runs.command('eval_loop.py', *arguments),
        env=runs.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert (
        process.stderr.readline()
        == f'waiting for a training in {tmp_path}, until 8 s have passed\n'
    )
    shutil.copy(str(trained / 'config.json'), str(tmp_path))
    copy_checkpoint(trained, 10, tmp_path)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0 and out.startswith('step 10 '), err


def copy_checkpoint(source, step, target):
    for suffix in ('.data-00000-of-00001', '.index'):  # the index last, as a save does
        name = f'model.ckpt-{step}{suffix}'
        with open(os.path.join(str(source), name), 'rb') as file:
            (target / name).write_bytes(file.read())


def test_a_damaged_checkpoint_is_named_and_the_others_go_on(trained, alone, tmp_path):
    for step in (10, 20, 30):
        copy_checkpoint(trained, step, tmp_path)
    data = (tmp_path / 'model.ckpt-20.index').read_bytes()
    (tmp_path / 'model.ckpt-20.index').write_bytes(data[: len(data) // 2])
    done = runs.evaluate(
        f'--checkpoint_path={tmp_path}',
        '--dataset_name=digits',
        '--preprocessing_name=none',
        '--image_size=32',
    )
    assert done.returncode == 1, done.stderr
    assert [line['step'] for line in lines(tmp_path)] == [10, 30]
    (named,) = [line for line in done.stderr.splitlines() if line.startswith('eval_loop.py')]
    assert 'model.ckpt-20' in named
    assert lines(tmp_path)[1]['top1'] == lines(alone)[0]['top1']


def test_a_full_disk_ends_no_evaluation(trained, tmp_path):
    (tmp_path / 'eval.jsonl').symlink_to('/dev/full')
    path = os.path.join(str(trained), 'model.ckpt-30')
    done = runs.evaluate(f'--checkpoint_path={path}', f'--eval_dir={tmp_path}')
    assert done.returncode == 0 and ' top1 ' in done.stdout, done.stderr


def test_weights_of_others_and_classes_by_name(tmp_path):
    """A frozen graph of 21 outputs on the digits: by --class_names only, and as numpy counts it."""
    images, labels = digits()
    published = slim_network.write(tmp_path, images[:2], 21)
    whole = runs.environment(whole_network=True)
    common = [
        f'--checkpoint_path={published.frozen}',
        f'--eval_dir={tmp_path}',
        '--dataset_name=digits',
        '--preprocessing_name=none',
        '--image_size=32',
    ]
    refused = runs.evaluate(*common, env=whole)
    assert refused.returncode == 2 and 'has 10 classes, the network 21' in refused.stderr
    names = 'zero one two three four five six seven eight nine'.split()
    outputs = [20 - 2 * label for label in range(10)]
    table = [f'other {i}' for i in range(21)]
    for label, output in enumerate(outputs):
        table[output] = names[label]
    (tmp_path / 'names.txt').write_text('\n'.join(table))
    done = runs.evaluate(*common, f'--class_names={tmp_path / "names.txt"}', env=whole)
    assert done.returncode == 0, done.stderr
    logits = formats.run_frozen(published.frozen, images, 'MobilenetV1/Logits/SpatialSqueeze')
    wanted = np.array(outputs)[labels]
    ranks = (logits > logits[np.arange(len(labels)), wanted][:, None]).sum(1)
    (line,) = lines(tmp_path)
    assert line['images'] == 359 and not line['ema']
    assert line['top1'] == pytest.approx((ranks < 1).mean(), abs=0.003)
    assert line['top5'] == pytest.approx((ranks < 5).mean(), abs=0.003)


def digits():
    """The held-out digits as the network sees them at 32 pixels, and their labels."""
    from sklearn import datasets

    from data.render import render

    found = datasets.load_digits()
    pixels = (found.images[4::5] * (255 / 16) + 0.5).astype(np.uint8)
    coloured = np.repeat(pixels[..., None], 3, -1)
    return np.stack([render(image, 32) for image in coloured]), found.target[4::5]
