"""A folder holds one run: flags that decide its numbers cannot change, and nothing is built."""

import json
import types

import pytest

from mobilenet import same_run
from mobilenet.configuration import Config
from mobilenet.errors import UsageError
import train_loop

FLAGS = {
    'model_name': 'mobilenet_v1_025',
    'dataset_name': 'digits',
    'batch_size': 8,
    'seed': 3,
    'deterministic': False,
    'learning_rate': 0.1,
}


def run(folder, is_main=True, **changes):
    flags = dict(FLAGS, train_dir=str(folder), **changes)
    return types.SimpleNamespace(is_main=is_main, config=Config(flags=flags, **flags))


@pytest.fixture
def folder(tmp_path):
    """Of a run with FLAGS that has a checkpoint."""
    (tmp_path / 'config.json').write_text(json.dumps(FLAGS))
    for suffix in ('.index', '.data-00000-of-00001'):
        (tmp_path / f'model.ckpt-10{suffix}').write_bytes(b'1')
    (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "model.ckpt-10"\n')
    return tmp_path


@pytest.mark.parametrize(
    'name,value',
    [
        ('model_name', 'mobilenet_v2'),
        ('dataset_name', 'synthetic'),
        ('batch_size', 16),
        ('seed', 4),
        ('deterministic', True),
    ],
)
def test_what_decides_the_numbers_of_a_run_cannot_change(folder, name, value):
    with pytest.raises(UsageError) as raised:
        same_run.SameRun().before_graph(run(folder, **{name: value}))
    message = str(raised.value)
    assert f'--{name}={value}' in message and f'--{name}={FLAGS[name]}' in message


def test_the_same_flags_another_rate_and_other_ranks_go_on(folder):
    hook = same_run.SameRun()
    hook.before_graph(run(folder, learning_rate=0.2))
    hook.before_graph(run(folder, is_main=False, seed=4))  # rank 0 alone looks


def test_a_folder_without_a_checkpoint_takes_any_flags(folder):
    (folder / 'model.ckpt-10.index').unlink()
    same_run.SameRun().before_graph(run(folder, seed=4))


def test_every_training_looks():
    argv = ['--dataset_name=digits']
    hooks = train_loop.make_hooks(train_loop.parse(argv).replace(inspects=False))
    assert isinstance(hooks[0], same_run.SameRun)  # before any that writes into the folder
