"""From a command line to the frozen configuration: what follows, by hand count; what is refused."""

import math
import re
import types

import pytest

import eval_loop
from mobilenet import configuration, devices
from mobilenet.errors import UsageError
import train_loop

DIGITS = types.SimpleNamespace(num_examples=1438, num_classes=10)


def config(*argv):
    return train_loop.parse(['--device=host', '--dataset_name=digits', *argv])


def training(*argv, dataset=DIGITS, world_size=1):
    return configuration.for_training(config(*argv), dataset, world_size)


@pytest.mark.parametrize('world_size', [1, 2])
def test_lengths_in_epochs_become_steps(world_size):
    """1438 images in batches of 100: 14.38 steps an epoch, half of that on two ranks."""
    flags = ('--batch_size=100', '--max_epoch=2.5', '--warmup_epochs=0.5')
    flags += ('--learning_rate_decay_type=exponential', '--num_epochs_per_decay=3')
    c = training(*flags, world_size=world_size)
    epoch = 14.38 / world_size
    assert c.steps_per_epoch == pytest.approx(epoch)
    assert c.total_steps == math.ceil(2.5 * epoch)
    assert c.warmup_steps == pytest.approx(0.5 * epoch)
    assert c.decay_steps == pytest.approx(3 * epoch)
    assert c.num_classes == 10


def test_steps_given_are_steps():
    c = training('--batch_size=100', '--max_train_steps=7', '--iterations_per_loop=4')
    assert (c.total_steps, c.longest_loop) == (7, 4)
    assert training('--batch_size=100', '--max_train_steps=3').longest_loop == 3
    assert training('--batch_size=1000', '--max_epoch=0.001').total_steps == 1


def test_without_a_length_it_is_300_epochs():
    assert training('--batch_size=719').total_steps == 600
    assert config('--max_train_steps=3').max_epoch is None


def test_weights_are_fine_tuned_or_the_start_of_a_new_training():
    given = ['--checkpoint_path=weights', '--batch_size=719']
    tuned, new, plain = training(*given), training(*given, '--new_training'), training(given[1])
    recipe = ('learning_rate', 'warmup_epochs', 'moving_average_decay', 'max_epoch')
    for name in (*recipe, 'trusted_updates'):
        assert getattr(new, name) == getattr(plain, name) != getattr(tuned, name), name
    with pytest.raises(UsageError, match='--new_training does nothing without --checkpoint_path'):
        config('--new_training')


def test_a_batch_of_all_ranks_is_no_larger_than_the_data():
    assert training('--batch_size=719', world_size=2).steps_per_epoch == 1
    with pytest.raises(UsageError, match=r'--batch_size=720 on 2 ranks .*1438 images'):
        training('--batch_size=720', world_size=2)
    with pytest.raises(UsageError, match=r'--batch_size=1439 is larger .*1438 images'):
        training('--batch_size=1439')


@pytest.mark.parametrize(
    'argv,scale,float16',
    [
        ([], (1.0, False), False),
        (['--precision_mode=must_keep_origin_dtype'], (1.0, False), False),
        (['--precision_mode=allow_mix_precision'], (4096.0, True), True),
        (['--precision_mode=force_fp16'], (4096.0, True), True),
        (['--precision_mode=force_fp16', '--loss_scale=8'], (8.0, False), True),
        (['--loss_scale=dynamic'], (4096.0, True), False),
        (['--loss_scale=dynamic:16'], (16.0, True), False),
    ],
)
def test_precision_and_loss_scale(argv, scale, float16):
    c = training('--batch_size=8', *argv)
    assert (c.initial_loss_scale, c.dynamic_loss_scale) == scale
    assert c.float16 is float16


def test_switches_of_the_step():
    c = training('--batch_size=8')
    assert (c.stop_on_nan, c.dropout, c.inspects) == (True, True, False)
    c = training('--batch_size=8', '--nan_policy=skip', '--deterministic')
    assert (c.stop_on_nan, c.dropout) == (False, False)


@pytest.mark.parametrize(
    'flag',
    [
        '--step',
        '--dump_steps=0',
        '--profile_steps=3',
        '--norms_every_steps=5',
        '--histograms_every_steps=5',
    ],
)
def test_each_way_of_looking_inside_inspects(flag):
    assert training('--batch_size=8', flag).inspects is True


def test_defaults_follow_the_device_and_the_cores():
    assert config().iterations_per_loop == 10
    assert config('--iterations_per_loop=3').iterations_per_loop == 3
    assert config('--data_threads=3').data_threads == 3 and config().data_threads >= 1
    npu = configuration._fill_in
    values = dict(config().flags, device='npu', iterations_per_loop=None, precision_mode='auto')
    values['loss_scale'] = 'auto'
    npu(values)
    assert values['iterations_per_loop'] == devices.rules('npu').ITERATIONS_PER_LOOP == 100
    assert values['precision_mode'] == 'allow_mix_precision'
    assert values['loss_scale'] == (4096.0, True)


@pytest.mark.parametrize(
    'argv,words',
    [
        (['--max_train_steps=3', '--max_epoch=3'], '--max_train_steps and --max_epoch'),
        (['--dump_dir=x'], '--dump_dir does nothing without --dump_steps'),
        (['--dump_tensors=x'], '--dump_tensors does nothing without --dump_steps'),
        (['--checkpoint_exclude_scopes=x'], 'does nothing without --checkpoint_path'),
        (['--ignore_missing_vars'], 'does nothing without --checkpoint_path'),
        (['--bind_cores=0:1'], '--bind_cores does nothing without --rank_table'),
        (['--server_id=a'], '--server_id does nothing without --rank_table'),
        (['--base_port=2000'], '--base_port does nothing without --rank_table'),
        (['--rank_table_timeout=5'], '--rank_table_timeout does nothing without --rank_table'),
        (['--check_weights_every=5'], '--check_weights_every does nothing without --rank_table'),
        (['--momentum=0.8', '--optimizer=sgd'], '--momentum does nothing without --optimizer=mom'),
        (['--opt_epsilon=2'], 'does nothing without --optimizer=rmsprop|adam|adadelta'),
        (['--ftrl_l1=0.1', '--optimizer=adam'], 'does nothing without --optimizer=ftrl'),
        (['--end_learning_rate=0'], 'nothing without --learning_rate_decay_type=polynomial'),
        (['--num_epochs_per_decay=1'], 'nothing without --learning_rate_decay_type=exponential'),
        (['--step', '--rank_table=hccl_2p.json'], 'leave out --rank_table'),
        (['--step_script=x', '--rank_table=hccl_2p.json'], 'leave out --rank_table'),
        (['--step_script=/nowhere/x'], '--step_script=/nowhere/x: no such file'),
        (['--dataset_name=imagenet'], '--dataset_name=imagenet needs --dataset_dir'),
        (['--dataset_name=folder'], '--dataset_name=folder needs --dataset_dir'),
        (['--npu_mix_compile_mode'], '--npu_mix_compile_mode is for --device=npu'),
        (['--precision_mode=allow_fp32_to_fp16'], '--precision_mode=allow_fp32_to_fp16'),
    ],
)
def test_combinations_that_cannot_work(argv, words):
    with pytest.raises(UsageError) as raised:
        config(*argv)
    assert words in str(raised.value) and '\n' not in str(raised.value)


def test_flags_that_do_something_are_taken():
    given = ['--optimizer=adam', '--opt_epsilon=2', '--adam_beta1=0.8', '--momentum=0.9']
    assert config(*given).adam_beta1 == 0.8
    decay = config('--learning_rate_decay_type=polynomial', '--end_learning_rate=0')
    assert decay.end_learning_rate == 0
    assert config('--check_weights_every=5', '--rank_table=hccl_1p.json').check_weights_every == 5


def test_a_script_from_standard_input_needs_no_file():
    assert config('--step_script=-').step is True
    assert config().step is False


def test_a_configuration_does_not_change():
    c = config()
    with pytest.raises(AttributeError, match='does not change'):
        c.seed = 3
    other = c.replace(seed=3)
    assert (other.seed, c.seed) == (3, 0)
    assert set(c.flags) == {name for name in vars(c) if name != 'flags'}
    assert 'steps_per_epoch' not in training('--batch_size=8').flags


def test_the_folder_of_a_checkpoint(tmp_path):
    assert configuration.folder_of(str(tmp_path)) == str(tmp_path)
    assert configuration.folder_of(str(tmp_path / 'model.ckpt-3')) == str(tmp_path)
    assert configuration.folder_of('model.ckpt-3') == '.'


def test_a_timeout_is_a_number_of_seconds_or_auto():
    assert config().step_timeout == 'auto' and config('--step_timeout=7.5').step_timeout == 7.5
    for text in ('0', 'never', '0.5', 'inf'):
        with pytest.raises(SystemExit) as ended:
            config(f'--step_timeout={text}')
        assert ended.value.code == 2


def test_restarts_are_for_ranks():
    assert config('--max_restarts=2', '--rank_table=hccl_2p.json').max_restarts == 2
    with pytest.raises(UsageError, match='--rank_table'):
        config('--max_restarts=2')


def test_fine_tuning_has_defaults_of_its_own():
    """30 epochs from 0.02 without a warm-up; what is given is taken; averages that are trusted."""
    c = training('--checkpoint_path=x', '--batch_size=719')
    assert (c.learning_rate, c.warmup_epochs, c.moving_average_decay) == (0.02, 0.0, 0.99)
    assert (c.max_epoch, c.total_steps, c.trusted_updates) == (30.0, 60, 80.0)
    given = config('--checkpoint_path=x', '--learning_rate=0.1', '--max_train_steps=3')
    assert (given.learning_rate, given.max_epoch) == (0.1, None)
    anew = training('--batch_size=719')
    assert (anew.learning_rate, anew.max_epoch, anew.trusted_updates) == (0.4, 300.0, 0.0)


def test_labels_may_be_offset():
    """For weights with a class 0 of their own; `auto` is found out where the weights are read."""
    c = training('--batch_size=8', '--label_offset=1')
    assert (c.label_offset, c.num_classes) == (1, 11)
    c = training('--batch_size=8', '--label_offset=auto')
    assert (c.label_offset, c.num_classes) == (0, 10)


def test_threads_that_decode_are_as_many_as_the_cores(monkeypatch):
    monkeypatch.setattr(configuration.cores, 'count', lambda: 7)
    assert config().data_threads == 7 and config('--data_threads=2').data_threads == 2


def evaluation(*argv):
    return eval_loop.parse(['--device=host', '--dataset_name=digits', *argv])


def test_an_evaluation_writes_beside_its_checkpoint(tmp_path):
    for suffix in ('.index', '.data-00000-of-00001'):
        (tmp_path / f'model.ckpt-1{suffix}').write_bytes(b'')
    path = f'--checkpoint_path={tmp_path / "model.ckpt-1"}'
    assert evaluation(path).eval_dir == str(tmp_path)
    assert evaluation(path, '--eval_dir=elsewhere').eval_dir == 'elsewhere'
    assert evaluation(path).flags['eval_dir'] == str(tmp_path)
    with pytest.raises(UsageError, match='--dataset_name=folder needs --dataset_dir'):
        evaluation(path, '--dataset_name=folder')
    with pytest.raises(UsageError, match='--checkpoint_path is missing'):
        evaluation()


def test_defaults_handed_in_are_below_what_is_given():
    groups = [('a', [configuration.flags.flag('device', '', 'host'), *LIKE_AN_EVALUATION])]

    def resolve(*argv, **defaults):
        return configuration.resolve('tool.py', 'What it is.', groups, argv, defaults)

    assert resolve('--checkpoint_path=x/y', image_size=64).image_size == 64
    assert resolve('--checkpoint_path=x/y', '--image_size=32', image_size=64).image_size == 32
    assert resolve('--checkpoint_path=x/y').image_size == 224


LIKE_AN_EVALUATION = [
    f
    for _, table in configuration.flags.evaluation(['digits'], ['none'])
    for f in table
    if f.name not in ('device', 'dataset_name')
] + [configuration.flags.flag('dataset_name', '', 'digits')]


def test_wrong_use_and_help_name_the_command(capsys):
    for argv, status in ((['--seed=x'], 2), (['--see=3'], 2), (['--help'], 0)):
        with pytest.raises(SystemExit) as ended:
            config(*argv)
        assert ended.value.code == status
    out, err = capsys.readouterr()
    assert out.startswith('usage: train_loop.py [--flag VALUE …], with the flags below\n')
    assert 'Train a MobileNet with a plain tf.Session loop.' in out
    assert [line.split(':')[0] for line in err.splitlines()] == ['train_loop.py'] * 2


def test_a_configuration_loses_nothing():
    with pytest.raises(TypeError):
        del config().seed


def test_float16_in_the_graph_is_of_modes_that_a_host_has():
    assert configuration.float16_graph(config('--precision_mode=force_fp16')) is True
    npu = config().replace(device='npu', precision_mode='allow_mix_precision')
    assert configuration.float16_graph(npu) is False


def test_help_names_every_flag_and_help_all_says_what_each_does(capsys):
    names = {'--' + name for name in config().flags}
    shown = {}
    for asked in ('--help', '--help_all'):
        with pytest.raises(SystemExit) as ended:
            config(asked)
        assert ended.value.code == 0
        shown[asked] = capsys.readouterr().out
        assert names <= set(re.findall(r'--\w+', shown[asked]))
    assert len(shown['--help'].splitlines()) < 220
    assert 'a JSON object' not in shown['--help'] and 'a JSON object' in shown['--help_all']
