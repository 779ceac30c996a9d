"""The flags: the reference's recipe as defaults, their bounds, and which command has which."""

import pytest

import data
from mobilenet import flag_types, flags, recipe_flags

RECIPE = {
    'model_name': 'mobilenet_v1',
    'precision_mode': 'auto',
    'dataset_name': 'imagenet',
    'preprocessing_name': 'inception_v2',
    'image_size': 224,
    'batch_size': 256,
    'max_train_steps': None,
    'max_epoch': None,
    'iterations_per_loop': None,
    'learning_rate': 0.4,
    'learning_rate_decay_type': 'cosine_annealing',
    'learning_rate_decay_factor': 0.94,
    'num_epochs_per_decay': 2.0,
    'end_learning_rate': 0.0001,
    'warmup_epochs': 5.0,
    'optimizer': 'momentum',
    'momentum': 0.9,
    'weight_decay': 0.00004,
    'label_smoothing': 0.1,
    'moving_average_decay': 0.9999,
    'loss_scale': 'auto',
    'opt_epsilon': 1.0,
    'rmsprop_momentum': 0.9,
    'rmsprop_decay': 0.9,
    'adam_beta1': 0.9,
    'adam_beta2': 0.999,
    'adagrad_initial_accumulator_value': 0.1,
    'adadelta_rho': 0.95,
    'ftrl_learning_rate_power': -0.5,
    'ftrl_initial_accumulator_value': 0.1,
    'ftrl_l1': 0.0,
    'ftrl_l2': 0.0,
    'train_dir': 'results/train',
    'seed': 0,
    'keep_checkpoints': 5,
    'nan_policy': 'stop',
    'device': 'auto',
}


@pytest.fixture(scope='module')
def parser():
    result = flag_types.Parser(allow_abbrev=False)
    flags.add_all(
        result, flags.training(data.DATASET_NAMES, data.PREPROCESSING_NAMES, data.AUGMENTATIONS)
    )
    return result


def test_defaults_are_the_references_recipe(parser):
    found = vars(parser.parse_args([]))
    assert {name: found.get(name, 'missing') for name in RECIPE} == RECIPE


def test_help_of_an_optimizers_own_flags_names_it():
    own = {f.name: f.help for f in recipe_flags.ONE_OPTIMIZER}
    of = {name: name.split('_')[0] for name in own}
    named = {name: text for name, text in own.items() if of[name] in recipe_flags.OPTIMIZERS}
    assert len(named) == 10 and named == {name: of[name] for name in named}
    shown = {f.name: f.metavar for f in recipe_flags.OPTIMIZER if f.metavar}
    assert shown == {'loss_scale': 'NUMBER|dynamic[:START]'}


# flag: (texts that are taken, texts that are not)
BOUNDS = {
    'max_train_steps': (['1'], ['0', '1.5']),
    'max_epoch': (['0.01'], ['0', '-1']),
    'iterations_per_loop': (['1'], ['0']),
    'learning_rate': (['1e-9'], ['0', 'inf']),
    'learning_rate_decay_factor': (['1e-9'], ['0']),
    'num_epochs_per_decay': (['1e-9'], ['0']),
    'end_learning_rate': (['0'], ['-1e-9']),
    'warmup_epochs': (['0'], ['-1e-9']),
    'momentum': (['0', '1'], ['-0.1', '1.1']),
    'weight_decay': (['0'], ['-1e-9']),
    'label_smoothing': (['0', '1'], ['-0.1', '1.1']),
    'moving_average_decay': (['0', '1'], ['-0.1', '1.1']),
    'loss_scale': (['auto', 'dynamic', '1'], ['0', 'x']),
    'image_size': (['8'], ['7']),
    'batch_size': (['1'], ['0']),
    'seed': (['0'], ['-1']),
    'keep_checkpoints': (['1'], ['0']),
    'optimizer': (
        ['sgd', 'momentum', 'rmsprop', 'adam', 'adagrad', 'adadelta', 'ftrl'],
        ['lion', ''],
    ),
    'learning_rate_decay_type': (
        ['fixed', 'exponential', 'polynomial', 'cosine_annealing'],
        ['linear'],
    ),
    'nan_policy': (['stop', 'skip'], ['go']),
    'ftrl_learning_rate_power': (['-3', '0'], ['nan', 'x']),
    **{
        name: (['0'], ['-1e-9'])
        for name in (
            'opt_epsilon',
            'rmsprop_momentum',
            'rmsprop_decay',
            'adam_beta1',
            'adam_beta2',
            'adagrad_initial_accumulator_value',
            'adadelta_rho',
            'ftrl_initial_accumulator_value',
            'ftrl_l1',
            'ftrl_l2',
        )
    },
}


@pytest.mark.parametrize('name', sorted(BOUNDS))
def test_bounds(parser, name, capsys):
    taken, refused = BOUNDS[name]
    for text in taken:
        parser.parse_args([f'--{name}={text}'])
    for text in refused:
        with pytest.raises(SystemExit):
            parser.parse_args([f'--{name}={text}'])
        assert f'argument --{name}: ' in capsys.readouterr().err


def test_an_evaluation_has_no_flags_of_a_training():
    names = {
        f.name
        for _, group in flags.evaluation(data.DATASET_NAMES, data.PREPROCESSING_NAMES)
        for f in group
    }
    assert {'checkpoint_path', 'eval_dir', 'no_ema', 'follow', 'per_class', 'batch_size'} <= names
    assert not names & {'train_dir', 'learning_rate', 'seed', 'loss_scale', 'rank_table'}
