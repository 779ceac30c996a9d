"""What a resumed run must have as before: compared, named with both values, or allowed by name."""

import json
import os
import types

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from mobilenet import json_files, run_record, same_run
from mobilenet.errors import UsageError
import train_loop

FINGERPRINT = {'records': 100, 'num_classes': 2, 'digest': 'ab', 'class_names': ['cat', 'dog']}
ARGV = ['--dataset_name=digits', '--max_epoch=3']


def check(folder, argv=(), fingerprint=None, allow=()):
    """The lines that a resume with other flags or data says."""
    argv = ARGV + [f'--train_dir={folder}'] + list(argv)
    config = train_loop.parse(argv + ([f'--allow_changed={",".join(allow)}'] if allow else []))
    before = run_record.read(config.train_dir)
    same_run.check_names(config)
    record = run_record.make(before, 1, dict(FINGERPRINT, **(fingerprint or {})))
    return same_run.check(config, before, record)


@pytest.fixture
def folder(tmp_path):
    config = train_loop.parse(ARGV + [f'--train_dir={tmp_path}'])
    json_files.write_object(str(tmp_path / 'config.json'), config.flags)
    run_record.write(str(tmp_path), run_record.make({}, 1, FINGERPRINT))
    return str(tmp_path)


def test_the_same_command_is_the_same_run(folder):
    assert check(folder) == []


@pytest.mark.parametrize(
    'argv,name',
    [
        ('--learning_rate=0.1', 'learning_rate'),
        ('--learning_rate_decay_type=polynomial', 'learning_rate_decay_type'),
        ('--warmup_epochs=1', 'warmup_epochs'),
        ('--image_size=64', 'image_size'),
        ('--preprocessing_name=none', 'preprocessing_name'),
        ('--weight_decay=0.1', 'weight_decay'),
        ('--moving_average_decay=0', 'moving_average_decay'),
        ('--max_epoch=4', 'max_epoch'),
        ('--optimizer=adam', 'optimizer'),
        ('--batch_size=8', 'batch_size'),
        ('--seed=1', 'seed'),
        ('--model_name=mobilenet_v2', 'model_name'),
        ('--label_smoothing=0', 'label_smoothing'),
        ('--deterministic', 'deterministic'),
        ('--trainable_scopes=A', 'trainable_scopes'),
    ],
)
def test_what_decides_the_numbers_is_refused_or_allowed_by_name(folder, argv, name):
    before = json.load(open(os.path.join(folder, 'config.json')))[name]
    with pytest.raises(UsageError) as refused:
        check(folder, [argv])
    assert f'--{name}={before}' in str(refused.value)
    assert f'--allow_changed={name}' in str(refused.value) or name == 'max_epoch'
    assert len(check(folder, [argv], allow=[name])) == 1
    with pytest.raises(UsageError):
        check(folder, [argv], allow=['momentum'])


def test_another_length_kind_of_the_same_run(tmp_path, folder):
    json_files.write_object(
        os.path.join(folder, 'config.json'),
        dict(
            json.load(open(os.path.join(folder, 'config.json'))), max_epoch=None, max_train_steps=9
        ),
    )
    with pytest.raises(UsageError, match='--max_epoch=3.0, but .* --max_train_steps=9'):
        check(folder)
    assert len(check(folder, allow=['max_epoch'])) == 1


def test_a_schedule_without_an_end_may_go_on(tmp_path):
    argv = ARGV + [f'--train_dir={tmp_path}', '--learning_rate_decay_type=fixed']
    json_files.write_object(str(tmp_path / 'config.json'), train_loop.parse(argv).flags)
    longer = [a.replace('max_epoch=3', 'max_epoch=30') for a in argv]
    record = run_record.make({}, 1, FINGERPRINT)
    assert same_run.check(train_loop.parse(longer), {}, record) == []


@pytest.mark.parametrize(
    'argv',
    ['--iterations_per_loop=3', '--data_threads=1', '--save_every_steps=1', '--nan_policy=skip'],
)
def test_what_does_not_decide_them_may_change(folder, argv):
    assert check(folder, [argv]) == []


@pytest.mark.parametrize(
    'change,words,name',
    [
        ({'records': 99}, 'records 99.*records 100', 'data_set'),
        ({'digest': 'cd'}, 'digest cd.*digest ab', 'data_set'),
        (
            {'class_names': ['cat', 'doge']},
            "class 1 named 'doge'.*class 1 named 'dog'",
            'class_names',
        ),
        (
            {'class_names': ['dog', 'cat']},
            "class 0 named 'dog'.*class 0 named 'cat'",
            'class_names',
        ),
        ({'class_names': ['cat']}, "1 classes.*class 1 named 'dog'", 'class_names'),
        ({'class_names': None}, "0 classes.*class 0 named 'cat'", 'class_names'),
    ],
)
def test_another_data_set(folder, change, words, name):
    with pytest.raises(UsageError, match=words):
        check(folder, fingerprint=change)
    assert len(check(folder, fingerprint=change, allow=[name])) == 1


def test_allow_changed_knows_its_names(folder):
    with pytest.raises(
        UsageError, match='--allow_changed=learning_rat: no such name; .*learning_rate'
    ):
        check(folder, allow=['learning_rat'])


def test_other_code_and_ranks_are_told_not_refused(folder):
    record = run_record.read(folder)
    run_record.write(folder, dict(record, code_version='older', world_size=2))
    lines = check(folder)
    assert 'older' in lines[0] and 'before 2' in lines[1]


@pytest.mark.parametrize('name', ['config.json', 'run.json'])
def test_files_that_are_something_else(folder, name):
    for text in ('null', '[]', '[' * 100000, '', '{"a"', '7', '\ud83d', '{} {}'):
        with open(os.path.join(folder, name), 'w', errors='surrogatepass') as f:
            f.write(text)
        assert len(check(folder)) == (name == 'config.json'), text[:9]


SIMPLE = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
JSON = SIMPLE | st.lists(SIMPLE, max_size=2) | st.dictionaries(st.just('records'), SIMPLE)


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from(['learning_rate', 'max_epoch', 'seed', 'optimizer']), JSON),
    JSON,
)
def test_values_of_any_type_are_the_same_or_named(flags, names):
    config = types.SimpleNamespace(optimizer='adam', seed=1, learning_rate=0.1, max_epoch=3.0)
    record = {'class_names': names, 'data_set': names, 'world_size': names}
    for difference in run_record.differences(
        flags, vars(config), record, run_record.make({}, 1, FINGERPRINT)
    ):
        assert difference.names and '{' not in difference.names[0]


def test_a_flag_is_compared_unless_it_is_known_as_neutral():
    deciding = set(filter(run_record.is_deciding, train_loop.parse(ARGV).flags))
    wanted = 'learning_rate optimizer image_size seed loss_scale precision_mode momentum max_epoch'
    assert set(wanted.split()) <= deciding
    assert not {'train_dir', 'rank_table', 'keep_best', 'step', 'allow_changed'} & deciding


def test_lists_that_were_text_in_folders_of_earlier_versions():
    record = {'class_names': None, 'data_set': {}}

    def named(before, now):
        flags = [{'trainable_scopes': before}, {'trainable_scopes': now}]
        return [d.names for d in run_record.differences(*flags, {}, record)]

    assert named('', []) == named('Logits, Conv2d_0', ['Logits', 'Conv2d_0']) == []
    assert named('Logits', ['Conv2d_0']) == named('', ['Logits']) == [('trainable_scopes',)]
