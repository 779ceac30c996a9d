"""Parsers under hypothesis, those whose own tests do not have it: any input gives a value or the
parser's own error.
"""

import argparse
import json
import math
import os
import types

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

import eval_loop
from mobilenet import (
    appending,
    class_labels,
    command,
    configuration,
    cores,
    flag_types,
    flags,
    json_files,
    run_lock,
    same_run,
)
from mobilenet.checkpoints import checksums, missing, names, position
from mobilenet.debug import changes, commands
from mobilenet.devices import npu_op_list, npu_options
from mobilenet.errors import UsageError
from mobilenet.weights import graph_constants
from scripts import plot_run

many = settings(max_examples=300, deadline=None)
LONG = '9' * 400  # no float holds it
LEAVES = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from([10**400, -1, 'x', '²', '\0', '\ud83d'])
    | st.text(max_size=5)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(['step', 'top1', 'pid']), inner)
    ),
    max_leaves=6,
)
BYTES = st.binary(max_size=99) | JSON.map(json.dumps).map(str.encode) | st.just(b'[' * 50000)
WORDS = st.sampled_from(
    ['auto', 'dynamic', ':', ',', '-', '1', '0', '²', '1e9', 'nan', 'inf', 'idx:', '|', '*', LONG]
    + ['true', '"', '{', '}', '"output": "\\u0000"', '1\n', '٣', '.npy', '/', '[' * 50000]
)
ARGUMENT = st.text(max_size=9).map(lambda t: t.replace('\0', '')) | st.lists(WORDS).map(''.join)
LINE = ARGUMENT.map(lambda t: ' '.join(t.splitlines()))


def objects(*keys):
    """Bytes of JSON objects that have some of these keys."""
    return st.dictionaries(st.sampled_from(keys), JSON).map(json.dumps).map(str.encode) | BYTES


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Also the current one: a flag may name a folder that is to be made."""
    before, place = os.getcwd(), str(tmp_path_factory.mktemp('any'))
    os.chdir(place)
    yield place
    os.chdir(before)


def write(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, 'wb') as f:
        f.write(content)
    return path


def refused_in_one_line(function, *arguments):
    """Lets a function give a value, or a UsageError of one line."""
    try:
        return function(*arguments)
    except UsageError as error:
        assert str(error).strip() and '\n' not in str(error).strip(), str(error)


@many
@given(objects('image_size', 'model_name', 'dataset_name', 'label_offset', 'apply_exif', 'kernels'))
def test_config_json(folder, content):
    """As training reads it, and as evaluation takes its defaults from it."""
    write(folder, 'config.json', content)
    assert isinstance(command.read_config(folder), dict)
    write(folder, 'model.ckpt-1.index', b'')
    try:
        config = refused_in_one_line(
            eval_loop.parse, [f'--checkpoint_path={folder}', '--device=host', '--dataset_dir=.']
        )
    except SystemExit as ended:
        assert ended.code == 2
    else:
        assert (
            config is None or config.image_size >= 8 and config.label_offset in ('auto', '0', '1')
        )


@many
@given(objects('run', 'class_names', 'data_set', 'world_size', 'code_version'))
def test_run_json(folder, content):
    write(folder, 'run.json', content)
    assert isinstance(same_run.known_before(folder), dict)
    assert class_labels.names_of(folder, None, 3) is None or content


LINES = st.lists(objects('step', 'skipped_steps', 'top1', 'loss'), max_size=4)


@many
@given(LINES.map(b'\n'.join))
def test_metrics_jsonl(folder, content):
    path = write(folder, 'metrics.jsonl', content)
    refused_in_one_line(plot_run.lines_of, path, ['step'])
    appending.drop_lines_after(path, ('step', 'skipped_steps'), 5)
    with open(path, 'rb') as f:
        for line in f:
            entry = json.loads(line.decode())
            assert 0 <= entry['step'] + entry['skipped_steps'] <= 5


HINTS = st.lists(
    st.sampled_from(
        [b'model_checkpoint_path', b'all_model_checkpoint_paths', b':', b' ', b'"', b'\\', b'\n']
        + [b'model.ckpt-1', b'/', b'..', b'\\x00', b'\\777', b'\xff', b'\0', b'\\']
    )
).map(b''.join)


@many
@given(HINTS | BYTES)
def test_the_file_checkpoint(folder, content):
    write(folder, 'checkpoint', content)
    first, every = names.hint(folder)
    assert all('\0' not in path for path in ([first] if first else []) + every)
    found, _ = names.to_resume(folder)
    assert isinstance(found, list) and isinstance(missing.words(folder), str)


SUMS = st.lists(st.sampled_from(['0' * 64, '  ', ' *', 'm.index', 'm.data-0', '\n', '/', '..']))


@many
@given(SUMS.map(''.join).map(str.encode) | BYTES)
def test_checksums(folder, content):
    path = write(folder, 'm.sha256', content)
    for function in (checksums.read, checksums.verify):
        refused_in_one_line(function, path[: -len('.sha256')])


@many
@given(objects(*position.COUNTS, 'run', 'top1'))
def test_what_lies_beside_a_checkpoint(folder, content):
    write(folder, 'm.json', content)
    write(folder, 'm.eval.json', content)
    facts, top1 = position.read(folder + '/m'), position.top1(folder + '/m')
    assert all(json_files.is_count(facts[name]) for name in position.COUNTS if facts)
    assert top1 is None or math.isfinite(top1)


@many
@given(objects('pid', 'host', 'started', 'boot', 'time'))
def test_a_lock(folder, content):
    write(folder, run_lock.NAME, content)
    lock = run_lock.Lock(folder)
    refused_in_one_line(lock.acquire)
    lock.release()


NUMBERED = st.lists(st.sampled_from(['0:', '1:a', '2:b', '²:', '\n', 'n00000001 x', ':', LONG]))


@many
@given(NUMBERED.map(''.join).map(str.encode) | BYTES)
def test_labels_txt(folder, content):
    path = write(folder, 'names.txt', content)
    refused_in_one_line(class_labels.read_names, path)
    refused_in_one_line(class_labels.names_of, folder, path, 3)


TRAINING = flags.training(('digits',), ('none',), ('auto',))
TABLES = [
    table for groups in (TRAINING, flags.evaluation(('digits',), ('none',))) for _, table in groups
]
TYPED = {f.name: f for table in TABLES for f in table if f.type is not str}


@many
@given(ARGUMENT)
def test_the_types_of_all_flags(text):
    for f in TYPED.values():
        try:
            f.type(text)
        except argparse.ArgumentTypeError as error:
            assert str(error), f.name


NAMES = sorted({f.name for table in TABLES for f in table} - {'train_dir', 'npu_dump_path'})
NPU = [f.name for f in npu_options.FLAGS]


@many
@given(st.dictionaries(st.sampled_from(NAMES) | st.sampled_from(NPU), ARGUMENT, max_size=3))
def test_command_lines(folder, given_flags):
    argv = [f'--{name}={text}' for name, text in given_flags.items()]
    for device in ('host', 'npu'):
        try:
            refused_in_one_line(
                configuration.resolve,
                'train_loop.py',
                '',
                TRAINING,
                ['--dataset_name=digits', f'--device={device}', *argv],
            )
        except SystemExit as ended:
            assert ended.code == 2


@many
@given(BYTES)
def test_a_list_of_ops(folder, content):
    refused_in_one_line(npu_op_list.read_list, write(folder, 'ops.json', content))


@many
@given(LINE, st.sampled_from(['loss_scale', 'learning_rate', 'weight:a']))
def test_what_the_stepper_sets(text, name):
    variable = types.SimpleNamespace(shape=types.SimpleNamespace(as_list=lambda: [2]))
    change = refused_in_one_line(changes.change, variable, name, text)
    if change:
        old = np.ones([] if name != 'weight:a' else [2], np.float32)
        refused_in_one_line(change, old)


@many
@given(LINE)
def test_arguments_of_the_stepper(text):
    number = refused_in_one_line(commands.count, text)
    assert number is None or number >= 1
    for function in (lambda t: commands.words(t, 1), commands.nothing):
        refused_in_one_line(function, text)


@many
@given(BYTES)
def test_frozen_graphs(folder, content):
    path = write(folder, 'graph.pb', content)
    for read in (graph_constants.read_graph, graph_constants.read_saved_model):
        try:
            read(path, lambda path, error: UsageError(f'{path}: {error}'))
        except UsageError:
            pass


CGROUP = st.lists(st.sampled_from(['0::/', '4:cpu:/a', '\n', ' - ', 'cgroup2', ' ', '\\040', LONG]))


@many
@given(CGROUP.map(''.join).map(str.encode) | BYTES)
def test_what_a_container_says_of_its_cores(folder, content):
    for name in ('cgroup', 'mountinfo', 'cpu.max', 'cpu.cfs_quota_us', 'cpu.cfs_period_us'):
        write(folder, name, content)
    assert cores.quota(folder, folder) is None or cores.quota(folder, folder) > 0
    for limit in (cores._limit_v1, cores._limit_v2):
        assert limit(folder) is None or limit(folder) > 0


@many
@given(ARGUMENT)
def test_switches_of_scripts(text):
    parser = flag_types.Parser()
    flag_types.add_switch(parser, '--switch', '')
    try:
        assert parser.parse_args([f'--switch={text}']).switch in (True, False)
    except SystemExit as ended:
        assert ended.code == 2
