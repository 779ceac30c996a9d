"""The run scripts with the reference's names: options, and the block of figures at the end."""

import json
import os
import subprocess

import pytest

from tests.helpers import runs

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
]


def run(script, *arguments, env=None):
    return subprocess.run(
        ['bash', os.path.join(runs.ROOT, 'scripts', script), *arguments],
        env=env or runs.environment(),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    'script,device,ranks', [('train_full_1p.sh', 'host', 1), ('train_performance_8p.sh', 'npu', 8)]
)
def test_ends_with_the_block_of_figures(tmp_path, script, device, ranks):
    extra = {'PYTHONPATH': runs.NPU_SIM} if device == 'npu' else {}
    if ranks > 1:
        extra['RANK_TABLE'] = os.path.join(runs.ROOT, 'hccl', 'hccl_8p.json')
    done = run(
        script,
        f'--train_dir={tmp_path}',
        f'--device={device}',
        '--precision_mode=must_keep_origin_dtype',  # in float16 the first steps are skipped
        *TINY,
        env=runs.environment(**extra),
    )
    assert done.returncode == 0, done.stderr
    block = done.stdout[done.stdout.index('--- Final result ---') :].splitlines()[1:]
    shown = dict(line.split(' : ') for line in block)
    with open(tmp_path / 'metrics.jsonl') as f:
        last = [json.loads(line) for line in f][-1]
    assert int(shown['Device count']) == ranks
    assert float(shown['Final Train Loss']) == pytest.approx(last['loss'])
    assert float(shown['Final Performance images/sec']) == pytest.approx(
        last['images_per_sec'], abs=0.01
    )
    if ranks > 1:
        assert runs.digests(tmp_path, ranks) == [runs.digest_of_checkpoint(tmp_path, 4)] * ranks
        assert last['epoch'] == pytest.approx(4 * 8 * ranks / 1438)
    if 'full' in script:
        with open(tmp_path / 'eval.jsonl') as f:
            assert float(shown['Final Train Accuracy']) == json.loads(f.read())['top1']
    (log,) = tmp_path.glob('mobilenet_v1_025_bs8_*.log')
    assert f'RankSize = {ranks}' in log.read_text()


@pytest.mark.parametrize(
    'arguments,words',
    [
        (['--data_path=/no/such'], ['train_performance_1p.sh: --data_path=/no/such']),
        ([], ['train_performance_1p.sh: --data_path is missing']),
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
