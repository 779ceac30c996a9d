"""A folder holds one run: flags that decide its numbers cannot change, and nothing is built."""

import json
import logging
import os
import types

import pytest

from mobilenet import run_record, same_run
from mobilenet.checkpoints import position
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
    dataset = types.SimpleNamespace(class_names=['a', 'b'])
    said = []
    return types.SimpleNamespace(
        is_main=is_main,
        config=Config(flags=flags, allow_changed=[], **flags),
        dataset=dataset,
        world_size=1,
        logger=logging.getLogger('test'),
        say=said.append,
        said=said,
    )


def hook():
    return same_run.SameRun(vars)


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
        ('learning_rate', 0.2),
    ],
)
def test_what_decides_the_numbers_of_a_run_cannot_change(folder, name, value):
    with pytest.raises(UsageError) as raised:
        hook().before_graph(run(folder, **{name: value}))
    message = str(raised.value)
    assert f'--{name}={value}' in message and f'--{name}={FLAGS[name]}' in message


def test_the_same_flags_go_on_and_rank_0_alone_looks(folder):
    hook().before_graph(run(folder))
    hook().before_graph(run(folder, is_main=False, seed=4))


def test_a_damaged_record_costs_the_run_not_its_name(folder):
    counts = dict.fromkeys(position.COUNTS, 10)
    (folder / 'model.ckpt-10.json').write_text(json.dumps(dict(counts, run='this one')))
    for damage, name in ((None, None), ('', 'this one'), ('[]', 'this one'), ('{"run": "x"}', 'x')):
        if damage is not None:
            (folder / 'run.json').write_text(damage)
        started = run(folder)
        hook().before_graph(started)
        assert started.run_id == name or name is None and started.run_id != 'this one'


def test_a_folder_without_a_checkpoint_takes_any_flags(folder):
    (folder / 'model.ckpt-10.index').unlink()
    hook().before_graph(run(folder, seed=4))


def test_every_training_looks():
    argv = ['--dataset_name=digits']
    hooks = train_loop.make_hooks(train_loop.parse(argv).replace(inspects=False))
    # Before any that writes into the folder.
    assert [type(h).__name__ for h in hooks[:3]] == ['StepTimeout', 'RunLock', 'SameRun']


def test_what_has_changed_on_purpose_is_told(folder):
    started = run(folder, seed=4, learning_rate=0.2)
    vars(started.config).update(allow_changed=['seed', 'learning_rate'])
    hook().before_graph(started)
    assert started.said == [
        f'--{name}={now}, but {folder} holds a run with --{name}={before}: changed, as '
        '--allow_changed says'
        for name, now, before in (('learning_rate', 0.2, 0.1), ('seed', 4, 3))
    ]
    vars(started.config).update(allow_changed=['learning_rate'])
    with pytest.raises(UsageError, match='--allow_changed=seed where'):
        hook().before_graph(started)
    vars(started.config).update(allow_changed=['seed', 'train_dir'])
    with pytest.raises(UsageError, match='--allow_changed=train_dir: no such name; use of '):
        hook().before_graph(started)


def test_other_programs_and_ranks_go_on_and_are_told(folder):
    version = run_record.code_version()
    both = [
        f'the program is another version ({version}) than the one this run began with (old)',
        '1 ranks, before 3: the images go on in order',
    ]
    for then, said in (
        ({'code_version': version, 'world_size': 1}, []),
        ({'code_version': 'old', 'world_size': 3}, both),
        ({'code_version': None, 'world_size': 'three'}, []),
        ({}, []),
    ):
        (folder / 'run.json').write_text(json.dumps(dict(then, run='x')))
        started = run(folder)
        hook().before_graph(started)
        assert started.said == said
    (folder / 'config.json').write_text('{')
    started = run(folder, seed=4)
    hook().before_graph(started)
    assert len(started.said) == 1 and 'has no config.json that can be read' in started.said[0]


def test_rank_0_looks_into_the_folder_and_leaves_its_record(folder, caplog):
    leftover = 'checkpoint.tmp' + 'f' * 32
    (folder / leftover).touch()
    started, other = run(folder), run(folder, is_main=False)
    looks = hook()
    for one in (other, started):
        one.checkpointer = types.SimpleNamespace(bytes=1000)
    with caplog.at_level(logging.INFO, logger='test'):
        looks.before_graph(started)
    assert caplog.messages == [f'removed {leftover}, which a killed run had half written']
    before = sorted(os.listdir(str(folder)))
    looks.session_ready(other)
    assert sorted(os.listdir(str(folder))) == before
    looks.session_ready(started)
    assert json.loads((folder / 'config.json').read_text()) == started.config.flags
    record = json.loads((folder / 'run.json').read_text())
    assert record['run'] == started.run_id and record['class_names'] == ['a', 'b']
    started.checkpointer.bytes = 1 << 62
    with pytest.raises(UsageError, match='are free: make room'):
        looks.session_ready(started)
    with pytest.raises(UsageError, match='cannot be written to'):
        hook().before_graph(run(folder / 'gone'))
