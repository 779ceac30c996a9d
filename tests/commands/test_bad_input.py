"""Wrong use: exit status 2 and one line that says what to change, no traceback, no graph where it
can be had without.
"""

import subprocess

import pytest

from tests.helpers import runs


def assert_one_line(done, *words):
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    'arguments,words',
    [
        (['--max_train_steps=5', '--max_epoch=5'], ['--max_train_steps', '--max_epoch']),
        (['--optimizer=lion'], ['--optimizer', 'lion', 'momentum']),
        (['--model_name=resnet50'], ['--model_name', 'resnet50']),
        (['--batch_size=0'], ['--batch_size']),
        (['--batch_size=1439'], ['--batch_size', '1438']),
        (['--label_smoothing=1.5'], ['--label_smoothing']),
        (['--loss_scale=big'], ['--loss_scale']),
        (['--learning_rate=nan'], ['--learning_rate']),
        (['--no_such_flag=1'], ['no_such_flag']),
        (['--dataset_name=imagenet'], ['--dataset_dir']),
        (['--dataset_name=imagenet', '--dataset_dir=/no/such/folder'], ['/no/such/folder']),
        (['--device=npu'], ['npu_bridge']),
        (['--npu_dump_path=/tmp'], ['--npu_dump_path']),
        (['--checkpoint_path=/no/such'], ['--checkpoint_path', '/no/such']),
        (['--train_dir=/proc/nothing'], ['--train_dir']),
        (['--rank_table=missing.json'], ['missing.json']),
    ],
)
def test_training(tmp_path, arguments, words):
    assert_one_line(runs.train(tmp_path, *arguments, check=False), *words)


def test_no_matching_files(tmp_path):
    assert_one_line(
        runs.train(tmp_path, '--dataset_name=imagenet', f'--dataset_dir={tmp_path}', check=False),
        str(tmp_path),
        'train-',
    )


def test_another_network(tmp_path):
    runs.train(tmp_path / 'v1', '--max_train_steps=1', env=runs.environment())
    other = ['--model_name=mobilenet_v2_035', '--max_train_steps=1']
    assert_one_line(
        runs.train(
            tmp_path / 'v2', *other, '--checkpoint_path={}'.format(tmp_path / 'v1'), check=False
        ),
        'model.ckpt-1',
        'holds a mobilenet_v1_025',
    )
    assert_one_line(runs.train(tmp_path / 'v1', *other, check=False), 'another')
    assert_one_line(
        runs.evaluate('--checkpoint_path={}'.format(tmp_path / 'v1'), '--model_name=mobilenet_v1'),
        'holds a mobilenet_v1_025',
    )


def test_evaluation(tmp_path):
    assert_one_line(
        runs.evaluate(f'--checkpoint_path={tmp_path}', '--dataset_name=digits'), 'no checkpoint'
    )
    assert_one_line(
        runs.evaluate('--checkpoint_path=/no/such/model.ckpt-1', '--dataset_name=digits'),
        '/no/such',
    )
    assert_one_line(runs.evaluate('--dataset_name=digits'), '--checkpoint_path')
    assert_one_line(runs.evaluate(f'--checkpoint_path={tmp_path}'), 'no checkpoint')


@pytest.mark.parametrize('script', ['train_loop.py', 'eval_loop.py'])
def test_help_without_tensorflow(script):
    """Python's own list of what was imported, on stderr, has no TensorFlow."""
    done = subprocess.run(
        runs.command(script, '--help'),
        env=runs.environment(PYTHONPROFILEIMPORTTIME='1'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and '--model_name' in done.stdout
    assert 'argparse' in done.stderr and 'tensorflow' not in done.stderr
