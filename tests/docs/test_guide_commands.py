"""The guide's commands that need no device run as they stand there, one after the other in an empty
folder; what is changed, to be quicker or for files of the reader's, is listed.
"""

import glob
import os
import shutil
import subprocess

import numpy as np
from PIL import Image
import pytest

from tests.docs.test_guide import all_commands
from tests.helpers import runs

SHORT = [('--max_epoch 20', '--max_epoch 1'), ('--warmup_epochs 1', '--warmup_epochs 0')]
SMALL = [('--batch_size 32', '--batch_size 4 --image_size 48 --max_epoch 1 --model_name NETWORK')]
DIGITS = [('results/train', 'results/digits')]
# How a command begins, and what is changed; in the order in which a reader comes to them.
RUN = [
    ('train_loop.py --dataset_name digits', 'results/digits', SHORT),
    ('eval_loop.py --checkpoint_path results/digits', '--per_class', []),
    ('scripts/plot_run.py results/digits', '', []),
    ('scripts/show_batch.py', '', []),
    ('train_loop.py --dataset_name digits', '--step_script', [('steps 100', 'steps 10')]),
    ('scripts/export.py', '--fold', DIGITS + [('saved_model,frozen --fold', 'frozen,slim')]),
    ('scripts/export.py', 'atc', DIGITS),
    ('scripts/predict.py', '--sheet', DIGITS),
    ('scripts/predict.py', '--json', []),
    ('scripts/inspect_checkpoint.py', '', []),
    ('scripts/convert_folder.py', '', [('/data/photos', 'results/photos')]),
    ('scripts/check_dataset.py', '', [('/data/imagenet', 'results/photos')]),
    ('train_loop.py --checkpoint_path', '', SMALL),
    ('eval_loop.py --checkpoint_path results/head', '', []),
    ('scripts/make_rank_table.py merge', '', []),
    ('scripts/scaling_model.py', '--plot', []),
]
# What is not: other tests run these with less work, or they need a device, ImageNet or hours.
ELSEWHERE = """
scripts/bench/
scripts/compare_dumps.py
scripts/convert_imagenet.py
scripts/demo.sh
scripts/drill.py
scripts/kill_ranks.py
scripts/make_rank_table.py --server_id
scripts/npu_ops.py
scripts/parity.py
scripts/predict.py cat.jpg dog.jpg
scripts/scaling_model.py --measured
scripts/setup.sh
scripts/soak.py
scripts/train_
train_loop.py --dataset_name digits
train_loop.py --device npu
train_loop.py --rank_table
eval_loop.py --checkpoint_path results/train
eval_loop.py --checkpoint_path results/digits
"""


def line_of(start, within):
    """The first of the guide's commands that begins so and has these words."""
    lines = [' '.join(words) for words in all_commands()]
    found = [line for line in lines if line.startswith(start) and within in line]
    assert found, (start, within)
    return found[0]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """What the guide takes for granted: photographs, a session, two rank tables."""
    made = tmp_path_factory.mktemp('reader')
    (made / 'results').mkdir()
    (made / 'results' / 'session.txt').write_text('next 2\ntop grads 2\ncontinue\n')
    names = ['cat.jpg', 'dog.jpg', *[f'photos/{c}/{i}.jpg' for c in 'ab' for i in range(5)]]
    for seed, name in enumerate(names):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.RandomState(seed).randint(0, 256, [48, 48, 3], np.uint8)
        Image.fromarray(pixels).save(str(path))
    for number, name in enumerate('ab'):
        table = ['--devices=0-1', f'--ip_base=10.0.{number}.1', f'--server_id=10.1.0.{number}']
        call(made, ['scripts/make_rank_table.py', *table, '-o', f'results/{name}.json'])
    return made


def call(folder, words):
    environment = runs.environment(TF_DISABLE_MKL='1')
    return subprocess.run(
        runs.command(*words), cwd=str(folder), env=environment, capture_output=True, text=True
    )


def test_they_run_as_they_stand_there(folder):
    for start, within, changes in RUN:
        line = line_of(start, within)
        for old, new in changes:
            assert old in line, (line, old)
            line = line.replace(old, new)
        if start.endswith('--checkpoint_path') or '_frozen.pb' in line:  # published weights
            (frozen,) = glob.glob(str(folder / 'results' / 'exported' / '*_frozen.pb'))
            shutil.copy(frozen, str(folder / 'mobilenet_v1_1.0_224_frozen.pb'))
        words = line.replace('NETWORK', 'mobilenet_v1_025').replace('photos/*.jpg', 'cat.jpg')
        done = call(folder, words.split())
        assert done.returncode == 0, (line, done.stderr)
    assert sorted(os.listdir(str(folder))) == [
        'cat.jpg',
        'dog.jpg',
        'mobilenet_v1_1.0_224_frozen.pb',
        'photos',
        'results',
    ]


def test_every_command_is_run_here_or_named_as_one_that_is_not():
    for words in all_commands():
        line = ' '.join(words)
        here = any(line.startswith(start) and within in line for start, within, _ in RUN)
        assert here or line.startswith(tuple(ELSEWHERE.split('\n')[1:-1])), line
