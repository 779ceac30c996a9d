"""parity.py and plant_faults.py by real runs: two devices that agree, a fault that is found, and
wrong use.
"""

import os
import re
import subprocess

from tests.helpers import hostile, runs

SMALL = [flag for flag in runs.SMALL if not flag.startswith('--batch_size')] + ['--batch_size=4']


def script(name, *arguments, env=None, cwd=None):
    return subprocess.run(
        runs.command(os.path.join('scripts', name), *arguments),
        env=env or runs.environment(),
        capture_output=True,
        cwd=cwd and str(cwd),
        text=True,
        timeout=600,
    )


def test_host_and_simulated_npu_agree_step_by_step(tmp_path):
    out = hostile.folder(tmp_path)
    env = hostile.environment(PYTHONPATH=runs.NPU_SIM)
    done = script(
        'parity.py', '--steps=2', '--a=host', '--b=npu float32', '--out=' + out, *SMALL, env=env
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith('no tensor differs')
    losses = re.findall(r'^ +(\d) +(\S+) +(\S+) +\S+ +equal +equal +equal$', done.stdout, re.M)
    assert [step for step, _, _ in losses] == ['0', '1']
    logged = [m['loss'] for m in runs.metrics(os.path.join(out, 'a'))]
    for (_, a, b), loss in zip(losses, logged):
        assert a == b and abs(float(a) - loss) < 1e-6 * loss
    assert re.search(r'variables after 2 steps: (\d+) of \1 equal bit for bit$', done.stdout, re.M)
    assert os.path.getsize(os.path.join(out, 'parity.html')) > 10000
    for side in 'ab':  # what the runs say is seen as they go, and the dumps do not stay
        assert re.search(rf'^side {side}: dumped \d+ tensors of step 1', done.stderr, re.M)
        assert os.listdir(os.path.join(out, side, 'dumps')) == []

    again = script('parity.py', '--b=host', '--out=' + out, *SMALL)
    assert again.returncode == 2 and '--overwrite' in again.stderr


def test_a_planted_fault_is_named_first_with_its_line(tmp_path):
    """Ten layers are the README's command; one here, its tree of code under a hostile path."""
    env = hostile.environment(TMPDIR=hostile.folder(tmp_path))
    done = script('plant_faults.py', '--layers=Conv2d_1_pointwise', env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        done.stdout.splitlines()[-1]
        == '2 of 2 faults named first by parity.py and compare_dumps.py'
    )


def test_a_default_folder_is_used_again_and_a_difference_leaves_its_dumps(tmp_path):
    """A has run before; B smooths its labels."""
    first = SMALL + ['--steps=2', '--keep=all']
    sides = ['--a=host --label_smoothing=0', '--b=host --label_smoothing=0.1']
    done = script('parity.py', *first, *sides, cwd=tmp_path)
    assert done.returncode == 3 and done.stdout.startswith('first to differ: loss,')
    out = tmp_path / 'results' / 'parity'
    assert sorted(os.listdir(str(out / 'b' / 'dumps'))) == ['step_000000', 'step_000001']

    again = script('parity.py', *SMALL, '--steps=2', f'--a={out / "a"}', sides[1], cwd=tmp_path)
    assert again.returncode == 3 and again.stdout == done.stdout
    assert 'b of an earlier comparison is replaced' in again.stderr
    assert os.listdir(str(out / 'b' / 'dumps')) == ['step_000000']
    assert len(os.listdir(str(out / 'a' / 'dumps'))) == 2  # it has not run here


def test_wrong_use(tmp_path):
    for arguments, said in (
        (['--b=cpu'], 'cpu is neither of'),
        (["--a=/no/it's"], "/no/it's is neither of"),
        (['--tree_a=/nowhere'], 'no train_loop.py there'),
        (
            ['--b=host', '--model_name=alexnet', '--out={}'.format(tmp_path / 'out')],
            'train_loop.py: argument --model_name',
        ),
        (
            ['--a=host', '--b=npu', '--dataset_name=digits', '--out={}'.format(tmp_path / 'out')],
            'npu_bridge is not on',
        ),
    ):
        done = script('parity.py', *arguments)
        assert done.returncode == 2 and said in done.stderr and 'Traceback' not in done.stderr, (
            done.stderr
        )
