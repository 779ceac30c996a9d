"""Whole runs that meet a NaN: what they say, which files they leave, and what is skipped."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mobilenet.comparison import dump_reader
from tests.helpers import runs

PLAIN = runs.environment()
ENVIRONMENTS = {'host': PLAIN, 'npu': runs.environment(PYTHONPATH=runs.NPU_SIM)}


def nan_run(folder, record, *arguments, env):
    return subprocess.run(
        [sys.executable, os.path.join(runs.ROOT, 'tests', 'helpers', 'nan_run.py')]
        + runs.SMALL
        + [f'--train_dir={folder}', '--max_train_steps=30', '--deterministic']
        + ['--moving_average_decay=0']  # a smaller graph starts earlier
        + list(arguments),
        env=dict(
            env, NAN_RECORD=str(record), PYTHONPATH=os.pathsep.join([runs.ROOT, env['PYTHONPATH']])
        ),
        capture_output=True,
        text=True,
        timeout=500,
    )


@pytest.mark.parametrize('device', ['host', 'npu'])
def test_a_nan_in_one_image_stops_the_run_and_names_its_record(tmp_path, device):
    """Record 100 is image 4 of batch 12 in a pinned run; a sunk loop of 10 is under way when it
    comes.
    """
    done = nan_run(
        tmp_path / 'run',
        100,
        '--device=' + device,
        '--precision_mode=must_keep_origin_dtype',
        '--iterations_per_loop=10',
        env=ENVIRONMENTS[device],
    )
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert 'batch 12: image 4' in line and 'train-00000-of-00002, record 100' in line
    folder = tmp_path / 'run' / 'nan_step_000012'
    assert str(folder) in line and {
        'batch.png',
        'images.npy',
        'labels.npy',
        'records.jsonl',
        'index.jsonl',
    } <= set(os.listdir(str(folder)))
    images = np.load(str(folder / 'images.npy'))
    assert np.argwhere(np.isnan(images)).tolist() == [[4, 3, 4, 1]]
    records = [json.loads(text) for text in open(str(folder / 'records.jsonl'))]
    assert [r['finite'] for r in records] == [True] * 4 + [False] + [True] * 3 and records[4][
        'record'
    ].endswith('record 100')
    (dumped,) = dump_reader.read(str(folder)).values()
    assert 'images' in {e.name for e in dumped} and all(
        not np.isfinite(e.load()).all() for e in dumped
    )
    assert runs.weights(tmp_path / 'run', 12)['global_step'] == 12


@pytest.mark.parametrize('device', ['host', 'npu'])
def test_a_nan_of_one_of_two_ranks_is_named_by_that_rank(tmp_path, device):
    """Record 108 is in the second rank's half of batch 6; the first rank looks too, and lets the
    other speak.
    """
    done = nan_run(
        tmp_path / 'run',
        108,
        '--device=' + device,
        '--precision_mode=must_keep_origin_dtype',
        '--rank_table=hccl_2p.json',
        '--iterations_per_loop=10',
        env=ENVIRONMENTS[device],
    )
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert (
        line.startswith('rank 1 failed')
        and 'batch 6: image 4' in line
        and 'train-00000-of-00002, record 108' in line
    )
    assert [n for n in os.listdir(str(tmp_path / 'run')) if n.startswith('nan_')] == [
        'nan_step_000006_rank_1'
    ]


def test_a_nan_is_skipped_when_told_to(tmp_path):
    done = nan_run(tmp_path / 'run', 100, '--nan_policy=skip', env=PLAIN)
    assert done.returncode == 0
    line = runs.metrics(tmp_path / 'run')[-1]
    assert (line['step'], line['skipped_steps']) == (29, 1)
