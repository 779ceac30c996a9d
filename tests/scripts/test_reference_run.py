"""The run scripts with the reference's names: options, and the block of figures at the end."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.helpers import hostile, runs

TINY = [
    '--dataset_name=digits',
    '--preprocessing_name=none',
    '--image_size=32',
    '--batch_size=8',
    '--model_name=mobilenet_v1_025',
    '--warmup_epochs=0',
    '--max_train_steps=4',
    '--iterations_per_loop=2',
    '--data_threads=1',
    '--moving_average_decay=0',  # a smaller graph starts earlier
]


def run(script, *arguments, env=None):
    return subprocess.run(
        ['bash', os.path.join(runs.ROOT, 'scripts', script), *arguments],
        env=env or runs.environment(),
        capture_output=True,
        text=True,
    )


def test_a_folder_that_cannot_be_made_is_wrong_use():
    flags = ['--device=npu', '--over_dump', '--over_dump_path=/proc/x']
    done = run('train_full_1p.sh', *TINY, *flags, env=runs.environment(PYTHONPATH=runs.NPU_SIM))
    assert done.returncode == 2
    assert done.stderr == 'train_full_1p.sh: --over_dump_path=/proc/x: No such file or directory\n'


@pytest.mark.parametrize(
    'script,device,ranks', [('train_full_1p.sh', 'host', 1), ('train_performance_8p.sh', 'npu', 8)]
)
def test_ends_with_the_block_of_figures(tmp_path, script, device, ranks):
    extra = {'PYTHONPATH': runs.NPU_SIM} if device == 'npu' else {}
    train_dir = hostile.folder(tmp_path, 'run')
    if ranks > 1:
        table = os.path.join(runs.ROOT, 'hccl', 'hccl_8p.json')
        extra['RANK_TABLE'] = shutil.copy(table, hostile.folder(tmp_path))
    done = run(
        script,
        f'--train_dir={train_dir}',
        f'--data_path={hostile.folder(tmp_path, "data")}',
        f'--device={device}',
        '--precision_mode=must_keep_origin_dtype',  # in float16 the first steps are skipped
        *TINY,
        env=hostile.environment(**extra),
    )
    assert done.returncode == 0, done.stderr
    block = done.stdout[done.stdout.index('--- Final result ---') :].splitlines()[1:]
    shown = dict(line.split(' : ') for line in block)
    with open(os.path.join(train_dir, 'metrics.jsonl')) as f:
        last = [json.loads(line) for line in f][-1]
    assert int(shown['Device count']) == ranks
    assert float(shown['Final Train Loss']) == pytest.approx(last['loss'])
    assert float(shown['Final Performance images/sec']) == pytest.approx(
        last['images_per_sec'], abs=0.01
    )
    if ranks > 1:
        os.symlink(train_dir, str(tmp_path / 'plain'))  # TensorFlow itself does not read it there
        digest = runs.digest_of_checkpoint(tmp_path / 'plain', 4)
        assert runs.digests(train_dir, ranks) == [digest] * ranks
        assert last['epoch'] == pytest.approx(4 * 8 * ranks / 1438)
    if 'full' in script:
        with open(os.path.join(train_dir, 'eval.jsonl')) as f:
            assert float(shown['Final Train Accuracy']) == json.loads(f.read())['top1']
    (log,) = [n for n in os.listdir(train_dir) if n.startswith('mobilenet_v1_025_bs8_')]
    with open(os.path.join(train_dir, log)) as f:
        assert f'RankSize = {ranks}' in f.read()


def test_figures_are_of_the_ranks_that_ran(tmp_path):
    """A table of two ranks under a script for eight."""
    env = runs.environment(RANK_TABLE='hccl_2p.json')
    done = run('train_performance_8p.sh', f'--train_dir={tmp_path}', *TINY, env=env)
    assert done.returncode == 0 and 'Device count : 2\n' in done.stdout, done.stderr
    assert done.stderr.startswith(
        'train_performance_8p.sh: hccl_2p.json has 2 ranks, the recipe is for 8: '
    )
    assert 'RankSize = 2\n' in (tmp_path / 'mobilenet_v1_025_bs8_2p_fp32_perf.log').read_text()


def test_what_stops_the_script_stops_the_training_which_saves(tmp_path):
    flags = [*TINY, f'--train_dir={tmp_path}', '--max_train_steps=1000000']
    script = os.path.join(runs.ROOT, 'scripts', 'train_performance_1p.sh')
    process = subprocess.Popen(
        ['bash', script, *flags],
        env=runs.environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    metrics = tmp_path / 'metrics.jsonl'
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.1)
    process.terminate()  # and all its group, as `timeout` does: the training gets two
    os.killpg(process.pid, signal.SIGTERM)
    stderr = process.communicate(timeout=500)[1]
    assert process.returncode == 1 and 'train_performance_1p.sh: stopped' in stderr, stderr
    last = runs.metrics(tmp_path)[-1]['step']
    assert (tmp_path / f'model.ckpt-{last}.index').exists() and last < 1000000


@pytest.mark.parametrize(
    'arguments,words',
    [
        (['--data_path=/no/such'], ['train_performance_1p.sh: --data_path=/no/such']),
        ([], ['train_performance_1p.sh: --data_path is missing']),
        (['--train_dir=~/run'], ['train_performance_1p.sh: --train_dir=~/run', 'write $HOME']),
        (['--over_dump=True'], ['--over_dump', 'NPU']),
        (['--profiling', '--profiling_path=/tmp'], ['--profiling_path', 'NPU']),
        (['--over_dump=maybe'], ['--over_dump', 'maybe']),
    ],
)
def test_wrong_use_is_one_line(arguments, words):
    done = run('train_performance_1p.sh', *arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_help_lists_the_options():
    done = run('train_full_8p.sh', '--help')
    for option in ('data_path', 'over_dump', 'data_dump_step', 'profiling_path', 'bind_core'):
        assert f'--{option}' in done.stdout
