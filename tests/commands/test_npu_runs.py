"""Whole trainings on the simulated NPU: a saturating chip's NaN, a missing op, an orderly end."""

import glob
import json
import os
import subprocess
import sys

from tests.helpers import runs

OPS = os.path.join('framework', 'built-in', 'tensorflow', 'npu_supported_ops.json')
FLAGS = ['--device=npu', '--precision_mode=must_keep_origin_dtype', '--max_train_steps=4']


def environment(**extra):
    path = os.pathsep.join([runs.ROOT, runs.NPU_SIM])
    return runs.environment(PYTHONPATH=path, **extra)


def profiling(folder):
    folder.mkdir()
    options = json.dumps({'output': str(folder)})
    return ['--npu_profiling_mode', f'--npu_profiling_options={options}']


def states_of_profiles(folder):
    """What each profile says of itself: the simulator finishes it when the adapter is closed."""
    states = []
    for path in glob.glob(str(folder / 'PROF_*' / 'host.json')):
        with open(path) as f:
            states.append(json.load(f)['state'])
    return states


def test_a_nan_on_a_saturating_chip_is_said_to_be_hidden_and_the_end_is_orderly(tmp_path):
    command = [sys.executable, os.path.join(runs.ROOT, 'tests', 'helpers', 'nan_run.py')]
    arguments = [*FLAGS, '--deterministic', f'--train_dir={tmp_path / "run"}']
    done = subprocess.run(
        command + runs.SMALL + arguments + profiling(tmp_path / 'profile'),
        env=environment(NPU_SIM_OVERFLOW='saturate', NAN_RECORD='9'),
        capture_output=True,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and 'not finite at batch 1' in last, done.stderr
    assert 'saturates' in last and '--npu_enable_dump_debug' in last and '--npu_dump_path' in last
    assert states_of_profiles(tmp_path / 'profile') == ['whole']


def test_an_op_that_is_not_on_the_list_is_refused_or_said(tmp_path):
    with open(os.path.join(runs.NPU_SIM, 'opp', OPS)) as f:
        listed = json.load(f)
    del listed['Floor']  # of dropout's masks, which want no batch
    path = tmp_path / 'opp' / OPS
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(listed))
    env = environment(ASCEND_OPP_PATH=str(tmp_path / 'opp'))
    refused = runs.train(tmp_path / 'refused', *FLAGS, env=env, check=False)
    last = refused.stderr.splitlines()[-1]
    assert refused.returncode == 2 and f'{path}: Floor (' in last, refused.stderr
    assert 'mobilenet/dropout.py:' in last and '--allow_host_ops' in last
    assert len(refused.stderr.splitlines()) == 1
    done = runs.train(
        tmp_path / 'run',
        *FLAGS,
        '--allow_host_ops',
        '--iterations_per_loop=2',
        *profiling(tmp_path / 'profile'),
        env=env,
    )
    assert 'op check: Floor (' in done.stderr
    assert runs.metrics(tmp_path / 'run')[-1]['step'] == 4
    assert states_of_profiles(tmp_path / 'profile') == ['whole']


def test_a_gradient_split_for_another_number_of_gradients_is_refused(tmp_path):
    """The short network has 3 + 3 * 6 + 2 gradients; so it is said before a device or a rank is
    started.
    """
    split, alone = '--gradient_split=idx:5,99', environment(RANK_ID='0', RANK_SIZE='1')
    done = runs.train(tmp_path, *FLAGS, split, env=alone, check=False)
    assert done.returncode == 2 and done.stderr.splitlines() == [
        'train_loop.py: --gradient_split=idx:5,99: the last index must be 10, as there are 11 '
        'gradients'
    ]
