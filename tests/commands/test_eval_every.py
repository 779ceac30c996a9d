"""--eval_every_epochs: the training's bits stay, the figures are those of eval_loop.py on the same
checkpoint, and they stand in eval.jsonl, TensorBoard and beside the checkpoints.
"""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from mobilenet.checkpoints import position
from tests.helpers import runs

# 11.2 steps an epoch: half epochs are passed in the loops that end at 8, 12, 20 and 24.
RUN = ['--batch_size=128', '--max_train_steps=25', '--iterations_per_loop=4']
EVALUATED = [8, 12, 20, 24, 25]


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """(run with evaluations, run without, stderr of the first)."""
    env = runs.environment()
    with_, without = [tmp_path_factory.mktemp(name) for name in ('with', 'without')]
    more = ['--eval_every_epochs=0.5', '--keep_best=2', '--keep_checkpoints=1']
    done = runs.train(with_, *RUN, *more, env=env)
    runs.train(without, *RUN, env=env)
    return with_, without, done.stderr


def lines(folder):
    with open(os.path.join(str(folder), 'eval.jsonl')) as f:
        return [json.loads(line) for line in f]


def test_training_computes_the_same_bits(folders):
    with_, without, _ = folders
    runs.assert_same_bits(runs.weights(with_, 25), runs.weights(without, 25))
    assert not os.path.exists(str(without / 'eval.jsonl'))


def test_the_figures_are_those_of_an_evaluation_of_the_checkpoint(folders, tmp_path):
    with_, _, stderr = folders
    found = lines(with_)
    assert [line['step'] for line in found] == EVALUATED
    assert all(line['ema'] and line['images'] == 359 for line in found)
    told = re.findall(r'^evaluated: step (\d+)  top1 (\S+)', stderr, re.M)
    assert told == [(str(e['step']), f'{e["top1"]:.4f}') for e in found]
    kept = sorted(int(p[:-6].split('-')[-1]) for p in glob.glob(str(with_ / 'model.ckpt-*.index')))
    done = runs.evaluate(f'--checkpoint_path={with_}', f'--eval_dir={tmp_path}')
    assert done.returncode == 0, done.stderr
    assert {e['step'] for e in lines(tmp_path)} == set(kept)
    by_step = {e['step']: e for e in found}
    for entry in lines(tmp_path):
        assert entry == by_step[entry['step']]


def test_keep_best_goes_by_them(folders):
    with_, _, _ = folders
    best = sorted((e['top1'], e['step']) for e in lines(with_))[-2:]
    for top1, step in best:
        prefix = str(with_ / f'model.ckpt-{step}')
        assert os.path.exists(prefix + '.index') and position.top1(prefix) == top1
    assert len(glob.glob(str(with_ / 'model.ckpt-*.index'))) <= 3


def test_tensorboard_has_the_validation_curve_over_global_step(folders):
    import tensorflow as tf

    with_, _, _ = folders
    (path,) = glob.glob(str(with_ / 'validation' / 'events.out.tfevents.*'))
    curve = {
        event.step: value.simple_value
        for event in tf.train.summary_iterator(path)
        for value in event.summary.value
        if value.tag == 'accuracy'  # as the training's: one chart
    }
    assert curve == {e['step']: pytest.approx(e['top1']) for e in lines(with_)}


def test_after_a_kill_the_evaluations_that_are_done_again_stand_once(folders, tmp_path):
    """As a kill before the last checkpoint leaves it: the last evaluations are of lost steps."""
    again, wanted = tmp_path / 'run', [(e['step'], e['top1']) for e in lines(folders[0])]
    shutil.copytree(str(folders[0]), str(again))
    for path in again.glob('model.ckpt-25.*'):
        path.unlink()
    more = ['--eval_every_epochs=0.5', '--keep_best=2', '--keep_checkpoints=1']
    done = runs.train(again, *RUN, *more)
    assert re.search(r', from .*model\.ckpt-(8|12|20|24)\n', done.stderr)
    assert [(e['step'], e['top1']) for e in lines(again)] == wanted


def evaluated_beside_the_same_training(tmp_path, every_epochs, env, *run):
    """Two loops with evaluations and without: the same bits; the figures are eval_loop.py's on the
    host. Gives the lines of eval.jsonl.
    """
    run += ('--batch_size=64', '--max_train_steps=12', '--iterations_per_loop=6')
    with_, without = tmp_path / 'with', tmp_path / 'without'
    runs.train(with_, *run, f'--eval_every_epochs={every_epochs}', env=env)
    runs.train(without, *run, env=env)
    runs.assert_same_bits(runs.weights(with_, 12), runs.weights(without, 12))
    assert [(e['step'], e['images']) for e in lines(with_)] == [(6, 359), (12, 359)]
    done = runs.evaluate(f'--checkpoint_path={with_}', '--device=host', f'--eval_dir={tmp_path}')
    assert done.returncode == 0 and lines(tmp_path) == lines(with_)[1:]
    return lines(with_)


def test_over_ranks_rank_0_evaluates_and_all_have_the_bits_they_had(tmp_path):
    run = ['--rank_table=hccl_2p.json', '--check_weights_every=1']
    evaluated = evaluated_beside_the_same_training(tmp_path, 0.5, runs.environment(), *run)
    assert evaluated[0]['checkpoint'] is None  # none was saved there


def test_a_stop_gives_the_evaluation_up_at_once(tmp_path):
    """The evaluation of 50,000 images of noise would take minutes; once the stacks of the process
    are in it, the run is told to stop.
    """
    arguments = ['--dataset_name=synthetic', '--model_name=mobilenet_v1_025', '--image_size=32']
    arguments += ['--batch_size=8', '--max_train_steps=1000', '--iterations_per_loop=2']
    arguments += ['--eval_every_epochs=0.00001', f'--train_dir={tmp_path}']
    process = subprocess.Popen(
        runs.command('train_loop.py', *arguments),
        env=runs.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics, log, end = tmp_path / 'metrics.jsonl', tmp_path / 'train.log', time.time() + 500
    while not metrics.exists() or ' in _evaluate\n' not in log.read_text():
        assert process.poll() is None and time.time() < end
        if metrics.exists():
            process.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert 'the evaluation is given up: the run is to stop' in stderr
    assert 'and saved' in stderr and lines(tmp_path) == []


def test_beside_an_npu_the_host_evaluates_and_training_has_the_bits_it_had(tmp_path):
    env = runs.environment(PYTHONPATH=os.pathsep.join([runs.ROOT, runs.NPU_SIM]))
    run = ['--device=npu', '--precision_mode=must_keep_origin_dtype']
    evaluated_beside_the_same_training(tmp_path, 0.2, env, *run)
