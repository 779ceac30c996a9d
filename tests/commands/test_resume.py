"""Going on with other ranks, ranks that differ, evaluating what is damaged: the real commands."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from hccl import ports
from mobilenet.checkpoints import names, position
from tests.helpers import runs

PLAIN = runs.environment()
FIXED = ['--learning_rate_decay_type=fixed', '--save_every_steps=4', '--iterations_per_loop=2']
FIXED += ['--warmup_epochs=0.4']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A run that began with two ranks (a tenth of an epoch) and went on with one (to a fifth)."""
    folder = str(tmp_path_factory.mktemp('ranks') / '[run] *')
    os.makedirs(folder)
    two = ['--rank_table=hccl_2p.json', '--max_epoch=0.1', '--check_weights_every=2']
    runs.train(folder, *FIXED, *two, env=PLAIN)
    first = position.read(names.latest(folder))
    assert (first['step'], first['records'], first['world_size']) == (9, 9 * 2 * 8, 2)
    said = runs.train(folder, *FIXED, '--max_epoch=0.2', env=PLAIN).stderr
    assert '1 ranks, before 2' in said and 'model.ckpt-9' in said
    return folder


def test_other_ranks_go_on_at_the_next_record(folder):
    """143.8 images are a tenth of the epoch: 9 steps of 16 took 144 of 287.6, 18 of 8 the rest."""
    last = position.read(names.latest(folder))
    assert (last['step'], last['batches'], last['records'], last['world_size']) == (27, 27, 288, 1)
    epochs = [line['epoch'] for line in runs.metrics(folder)]
    records = [2 * 16 * n for n in range(1, 5)] + [144] + [144 + 16 * n for n in range(1, 10)]
    assert epochs == pytest.approx([count / 1438 for count in records])
    # The warm-up is in epochs: 0.05 after 0.4, by the images that had been taken before the step.
    before = [count - 16 for count in records[:5]] + [count - 8 for count in records[5:]]
    rates = [line['learning_rate'] for line in runs.metrics(folder)]
    assert rates == pytest.approx([0.05 * count / (0.4 * 1438) for count in before], rel=1e-5)


def test_a_changed_loss_scale_takes_the_place_of_the_saved_one(tmp_path):
    """The advice where every step was skipped; one that is dynamic goes on from where it was."""
    steps = (('3e38', 2), ('16', 4), ('dynamic:3e38', 6), ('dynamic:3e38', 8))
    float16 = '--precision_mode=allow_mix_precision'  # in which 3e38 overflows
    for scale, length in steps:
        changed = '--allow_changed=loss_scale,max_train_steps'
        flags = [f'--loss_scale={scale}', f'--max_train_steps={length}', changed]
        runs.train(tmp_path, *FIXED[:-1], '--warmup_epochs=0', float16, *flags, env=PLAIN)
    seen = [(line['loss_scale'], line['skipped_steps']) for line in runs.metrics(tmp_path)]
    (scales, skipped), start = zip(*seen), float(np.float32(3e38))
    assert (scales[:2], skipped[:2]) == ((start, 16.0), (2, 2))
    halved = skipped[2] - 2
    assert 0 < halved and scales[2] == start / 2**halved
    assert scales[3] == start / 2 ** (skipped[3] - 2)


def test_ranks_started_by_hand_with_other_flags_are_named_on_both(tmp_path):
    """Another network as well: its gradients would not even fit together."""
    addresses = ','.join(f'127.0.0.1:{port}' for port in ports.free_ports(2))
    flags = [[], ['--model_name=mobilenet_v2_035', '--learning_rate=0.06', '--seed=3']]
    processes = [
        subprocess.Popen(
            runs.command('train_loop.py', *runs.SMALL, f'--train_dir={tmp_path}', *flags[rank]),
            env=dict(PLAIN, RANK_ID=str(rank), RANK_SIZE='2', MOBILENET_RANK_ADDRESSES=addresses),
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=500)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2], said
    for text in said:
        assert '--learning_rate: rank 0 has 0.05, rank 1 has 0.06' in text
        assert 'Traceback' not in text


def test_evaluation_goes_on_past_a_damaged_one_and_marks_the_others(folder):
    paths = names.in_folder(folder)
    os.truncate(paths[-2] + '.data-00000-of-00001', 1000)
    arguments = ['--checkpoint_path', folder, '--follow', '--follow_timeout=0']
    done = runs.evaluate(*arguments, env=PLAIN)
    assert done.returncode == 1, done.stderr
    assert f'{paths[-2]}.data-00000-of-00001 is damaged' in done.stderr
    lines = [json.loads(line) for line in open(os.path.join(folder, 'eval.jsonl'))]
    top1 = [line['top1'] for line in lines]
    assert [line['checkpoint'] for line in lines] == paths[:-2] + paths[-1:]
    assert [position.top1(path) for path in paths[:-2] + paths[-1:]] == top1
    assert position.top1(paths[-2]) is None


def test_evaluation_refuses_other_classes(folder, tmp_path):
    record = json.load(open(os.path.join(folder, 'run.json')))
    record['class_names'][3] = 'drei'
    for path in names.files_of(names.latest(folder)):
        shutil.copy(path, str(tmp_path))
    for name, content in (('run.json', record), ('config.json', {'dataset_name': 'digits'})):
        (tmp_path / name).write_text(json.dumps(content))
    done = runs.evaluate('--checkpoint_path', str(tmp_path), '--model_name=mobilenet_v1_025')
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "class 3 named '" in done.stderr and "class 3 named 'drei'" in done.stderr
