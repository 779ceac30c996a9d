"""Folders and files that may not be read or written to, or are gone: one line that names them, and
the status that says so.
"""

import ctypes
import os
import subprocess

import pytest
import tensorflow as tf

from tests.helpers import runs
from tests.helpers.data_files import jpeg, noise

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


def without_privilege():
    """In the child, before exec: modes bind root, too."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability)


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """closed/: a folder without rights; part/b: a class without; list.txt: a file without; fixed/:
    not to be written to.
    """
    place = tmp_path_factory.mktemp('unreadable')
    for folder in ('open/a', 'part/a', 'part/b', 'synsets/n01440764'):
        (place / folder).mkdir(parents=True)
        for i in range(6):
            (place / folder / f'{i}.jpg').write_bytes(jpeg(noise(9, 9, i)))
    (place / 'list.txt').write_text('n01440764\n')
    closed = [place / name for name in ('closed', 'fixed', 'part/b', 'synsets/n01440764')]
    for folder in closed:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o500 if folder.name == 'fixed' else 0)
    (place / 'list.txt').chmod(0)
    yield place
    for folder in closed:
        folder.chmod(0o700)


DIGITS = ['train_loop.py', '--dataset_name=digits']


@pytest.mark.parametrize(
    'command,said',
    [
        (['train_loop.py', '--dataset_name=folder', '--dataset_dir=part'], 'folder part/b'),
        (['train_loop.py', '--dataset_dir=closed'], 'the folder closed'),
        ([*DIGITS, '--train_dir=fixed/run'], '--train_dir=fixed/run'),
        ([*DIGITS, '--rank_table=list.txt'], 'rank table list.txt'),
        (['eval_loop.py', '--checkpoint_path=closed', '--dataset_name=digits'], 'folder closed'),
        (['scripts/check_dataset.py', 'closed'], 'the folder closed'),
        (
            [
                *('scripts/check_dataset.py', 'open', '--dataset_name=folder'),
                '--counts_csv=fixed/counts.csv',
            ],
            '--counts_csv=fixed/counts.csv',  # ahead of the check
        ),
        (
            ['scripts/show_batch.py', '--dataset_name=digits', '--output=fixed/batch.png'],
            '--output=fixed/batch.png',
        ),
        (['scripts/convert_folder.py', 'part', 'out'], 'the folder part/b'),
        (['scripts/convert_folder.py', 'synsets', 'fixed/out'], 'folder synsets/n01440764'),
        (['scripts/convert_imagenet.py', 'out', '--train_dir=synsets'], 'synsets/n01440764'),
        (['scripts/convert_imagenet.py', 'out', '--train_dir=closed'], 'the folder closed'),
        (
            ['scripts/convert_imagenet.py', 'out', '--train_dir=synsets', '--synsets=list.txt'],
            'cannot read list.txt',
        ),
        (
            [
                *('scripts/make_rank_table.py', '--hccn_conf=list.txt', '--devices=0'),
                '--server_id=10.0.0.1',
            ],
            'cannot read list.txt',
        ),
    ],
)
def test_status_2_and_one_line(place, command, said):
    done = subprocess.run(
        runs.command(*command),
        cwd=str(place),
        env=runs.environment(),
        preexec_fn=without_privilege,
        capture_output=True,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and 'Traceback' not in done.stderr, done.stderr
    assert said in last and 'Permission denied' in last, done.stderr
    assert last.startswith(os.path.basename(command[0]) + ': ')


@pytest.mark.parametrize('arguments', [['.'], ['/no/such', '--split=train']])
def test_check_dataset_names_no_flag_of_other_commands(tmp_path, arguments):
    done = subprocess.run(
        runs.command('scripts/check_dataset.py', *arguments),
        cwd=str(tmp_path),
        env=runs.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 2 and '--' not in done.stderr and 'dataset_dir' in done.stderr


@pytest.mark.parametrize(
    'command',
    [
        ['train_loop.py', '--dataset_dir=~/data'],
        ['train_loop.py', '--dataset_name=digits', '--train_dir=~/run'],
        ['eval_loop.py', '--checkpoint_path=~/run', '--dataset_name=digits'],
    ],
)
def test_a_tilde_that_no_shell_has_replaced(tmp_path, command):
    refused(tmp_path, command, 'write $HOME')


@pytest.mark.parametrize(
    'command,said',
    [
        (['train_loop.py', '--dataset_name=digits', '--rank_table='], '--rank_table is empty'),
        (['train_loop.py', '--dataset_name=digits', '--train_dir', ''], '--train_dir is empty'),
        (['train_loop.py', '--dataset_name=digits', '--checkpoint_path='], '--checkpoint_path is'),
        (['eval_loop.py', '--dataset_name=digits', '--checkpoint_path='], '--checkpoint_path is'),
        (['scripts/predict.py', 'a.jpg', '--checkpoint_path='], '--checkpoint_path is missing'),
    ],
)
def test_an_empty_flag_is_no_wish_for_the_default(tmp_path, command, said):
    refused(tmp_path, command, said)


def refused(tmp_path, command, said):
    done = subprocess.run(
        runs.command(*command),
        cwd=str(tmp_path),
        env=runs.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1], done.stderr
    assert os.listdir(str(tmp_path)) == []


QUICK = [
    ['train_loop.py', '--no_such_flag'],
    ['eval_loop.py', '--checkpoint_path=/no/such'],
    ['scripts/convert_folder.py', '/no/such', 'out'],
    ['scripts/make_rank_table.py', '--devices=x', '--ip_base=192.168.1.1'],
]


@pytest.mark.parametrize('command', QUICK)
def test_a_current_folder_that_is_gone(tmp_path, command):
    """TensorFlow's libraries end a process there with words of their own."""
    (tmp_path / 'gone').mkdir()
    done = subprocess.run(
        ['bash', '-c', 'cd "$0" && rmdir "$0" && exec "$@"', str(tmp_path / 'gone')]
        + runs.command(*command),
        env=runs.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 2 and 'current folder was deleted' in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize('command', QUICK)
def test_the_status_is_the_same_where_nobody_reads_the_error(command):
    with open('/dev/full', 'w') as full:
        done = subprocess.run(runs.command(*command), env=runs.environment(), stderr=full)
    assert done.returncode == 2


def test_a_rank_table_that_cannot_be_written_whole_is_a_failure():
    make = ['scripts/make_rank_table.py', '--devices=0-1', '--ip_base=192.168.1.1']
    with open('/dev/full', 'w') as full:
        done = subprocess.run(
            runs.command(*make, '--server_id=10.0.0.1'),
            env=runs.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert 'No space left' in done.stderr


@pytest.mark.parametrize('content', [b'{"image_size": 32,', b'[]', b'\xff\xfe{', b''])
@pytest.mark.parametrize(
    'command',
    [
        ['eval_loop.py', '--dataset_name=digits'],
        ['scripts/predict.py', 'x.jpg'],
        ['scripts/export.py', '--output_dir=y'],
    ],
)
def test_no_figures_with_the_defaults_of_another_recipe(tmp_path, command, content):
    (tmp_path / 'model.ckpt-1.index').write_bytes(b'')
    (tmp_path / 'config.json').write_bytes(content)
    ended = subprocess.run(
        runs.command(*command, f'--checkpoint_path={tmp_path}'),
        stderr=subprocess.PIPE,
        env=runs.environment(),
        text=True,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count('\n') == 1 and f'{tmp_path}/config.json is damaged' in ended.stderr


def test_a_folder_of_a_v1_checkpoint_is_told_as_such(tmp_path):
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.get_variable('v', [2], initializer=tf.zeros_initializer())
        sess.run(tf.global_variables_initializer())
        tf.train.Saver(write_version=1).save(sess, str(tmp_path / 'model.ckpt-2'))
    ended = subprocess.run(
        runs.command('eval_loop.py', '--dataset_name=digits', f'--checkpoint_path={tmp_path}'),
        stderr=subprocess.PIPE,
        env=runs.environment(),
        text=True,
    )
    assert ended.returncode == 2 and 'old format V1' in ended.stderr, ended.stderr
