"""The one configuration of a command: every flag as used, resolved and frozen."""

import math
import os
import types

from mobilenet import command, cores, devices, flags, recipe_flags
from mobilenet.devices import threads
from mobilenet.errors import UsageError
from mobilenet.flag_types import DYNAMIC_START, Parser

# Updates that the averages of a warm start count as having had: their decay begins at 0.9, not at
# 0.1, where one batch would replace all that the weights come with, nor at 0.99, where after a
# hundred steps a third of them would still be the old weights, and others than the last layer's.
TRUSTED_UPDATES = 80.0

# Flags that do nothing without another one.
_NEEDS = {
    'dump_tensors': 'dump_steps',
    'dump_dir': 'dump_steps',
    'new_training': 'checkpoint_path',
    'checkpoint_exclude_scopes': 'checkpoint_path',
    'ignore_missing_vars': 'checkpoint_path',
    'follow_timeout': 'follow',
    'rank_table_timeout': 'rank_table',
    'server_id': 'rank_table',
    'base_port': 'rank_table',
    'bind_cores': 'rank_table',
    'max_restarts': 'rank_table',
    **dict.fromkeys(flags.SEVERAL_RANKS, 'rank_table'),
}


class Config(types.SimpleNamespace):
    """Attributes: one a flag, and what `for_training` adds. Frozen: `replace` gives a changed one.

    `flags`: {name: value} of the flags alone, as config.json has them.
    """

    def __setattr__(self, name, value):
        raise AttributeError(f'{name}: a configuration does not change, see Config.replace')

    __delattr__ = None

    def replace(self, **changes):
        return Config(**dict(vars(self), **changes))


def resolve(prog, description, groups, argv, defaults=None):
    """The Config of a command line: defaults first, then checks. Wrong use of argparse's kind ends
    with status 2.

    groups: tables of mobilenet/flags.py; defaults: {flag: text} that take the place of a table's
    own.
    Raises UsageError.
    """
    usage = f'{prog} [--flag VALUE …], with the flags below'
    parser = Parser(prog=prog, allow_abbrev=False, description=description, usage=usage)
    parser.add_argument('--help_all', action='help', help='also what rarer flags do')
    flags.add_all(parser, groups, '--help_all' in argv)
    parser.set_defaults(**(defaults or {}))
    given = parser.parse_known_args(argv)[0]
    if 'train_dir' in given and fine_tunes(given):
        parser.set_defaults(**recipe_flags.FINE_TUNING)
    values = vars(parser.parse_args(argv))
    _refuse_empty(values)
    _check_choices(values, groups, defaults or {})
    values['device'] = devices.choose(values['device'])
    tables = [f for _, table in groups for f in table]
    _refuse_other_devices(values, tables)
    _refuse_without_the_needed(values, tables)
    _fill_in(values)
    config = Config(flags=dict(values), **values)
    _check(config)
    devices.rules(config.device).check(config)
    return config


def _refuse_empty(values):
    """--rank_table=$TABLE of a shell where TABLE is not set is no wish for the default."""
    for name, value in values.items():
        if value == '':
            raise UsageError(f'--{name} is empty: give it a value, or leave it out')


def _check_choices(values, groups, defaults):
    """Of `defaults`, which argparse takes as they are."""
    for f in [f for _, table in groups for f in table if f.name in defaults and f.choices]:
        if values[f.name] not in f.choices:
            raise UsageError(
                f'--{f.name}={values[f.name]}, of config.json, is none of '
                f'{", ".join(map(str, f.choices))}: give that flag'
            )


def _refuse_other_devices(values, tables):
    for f in tables:
        if f.device not in (None, values['device']) and values[f.name] != f.default:
            raise UsageError(f'--{f.name} is for --device={f.device}: leave it out')


def _refuse_without_the_needed(values, tables):
    given = [f.name for f in tables if values[f.name] != f.default]
    for name in [n for n in given if values[n] is not False and values[n] != []]:
        needed, wanted = _NEEDS.get(name), ()
        if name in recipe_flags.ONLY_WITH:
            needed, wanted = recipe_flags.ONLY_WITH[name]
        if needed is None or (values[needed] in wanted if wanted else values[needed]):
            continue
        if needed == 'rank_table' and os.environ.get('RANK_ID'):
            continue  # a cluster's own launcher gives each rank the flags of all
        of_one = needed == 'rank_table' and name not in flags.SEVERAL_RANKS
        like = ' (hccl_1p.json for one device)' if of_one else ''
        value = '=' + '|'.join(wanted) if wanted else ''
        raise UsageError(f'--{name} does nothing without --{needed}{value}{like}')


def _fill_in(values):
    """Replaces None and `auto` by what they mean."""
    rules = devices.rules(values['device'])
    values['precision_mode'] = rules.precision_mode(values['precision_mode'])
    values['data_threads'] = values['data_threads'] or cores.count()
    values['kernels'] = _kernels(values)  # beside an NPU, those of the ops that stay on its host
    if 'train_dir' not in values:
        if values['checkpoint_path'] is None:
            raise UsageError(command.NO_WEIGHTS)
        values['eval_dir'] = values['eval_dir'] or folder_of(values['checkpoint_path'])
        return
    values['iterations_per_loop'] = values['iterations_per_loop'] or rules.ITERATIONS_PER_LOOP
    values['step'] = values['step'] or values['step_script'] is not None
    if values['loss_scale'] == 'auto':
        float16 = values['precision_mode'] in devices.FLOAT16_MODES
        values['loss_scale'] = (DYNAMIC_START, True) if float16 else (1.0, False)
    if values['max_train_steps'] is None and values['max_epoch'] is None:
        fine_tuning = fine_tunes(types.SimpleNamespace(**values))
        values['max_epoch'] = (
            recipe_flags.FINE_TUNING_EPOCHS if fine_tuning else recipe_flags.DEFAULT_EPOCHS
        )


def fine_tunes(config):
    """Whether a training goes on from weights that are good already."""
    return config.checkpoint_path is not None and not config.new_training


def _kernels(values):
    """What TF_DISABLE_MKL says, else the flag, else as in the run that is resumed (they change
    bits), else by the work of a step.
    """
    if threads.kernels_of_environment():
        return threads.kernels_of_environment()
    if values['kernels'] != 'auto':
        return values['kernels']
    before = command.read_config(values['train_dir']) if 'train_dir' in values else {}
    if before:  # runs of before this flag had oneDNN's
        return 'plain' if before.get('kernels') == 'plain' else 'onednn'
    return threads.kernels(values['model_name'], values['image_size'], values['batch_size'])


def _check(config):
    """Combinations that cannot work."""
    if 'train_dir' in config.flags:
        _check_training(config)
    if config.dataset_name in ('imagenet', 'folder') and not config.dataset_dir:
        raise UsageError(f'--dataset_name={config.dataset_name} needs --dataset_dir')


def _check_training(config):
    if config.max_train_steps is not None and config.max_epoch is not None:
        raise UsageError('--max_train_steps and --max_epoch are both given: give one of them')
    if config.step and config.rank_table:
        raise UsageError('--step is for one device: leave out --rank_table')
    if config.step_script not in (None, '-') and not os.path.isfile(config.step_script):
        raise UsageError(f'--step_script={config.step_script}: no such file')


def folder_of(path):
    """The folder of a checkpoint, or the folder of checkpoints that the path is."""
    return path if os.path.isdir(path) else os.path.dirname(path) or '.'


def float16_graph(config):
    """Whether the graph's convolutions are float16 themselves."""
    return (
        devices.rules(config.device).FLOAT16_GRAPH
        and config.precision_mode in devices.FLOAT16_MODES
    )


def for_training(config, dataset, world_size):
    """The Config with what follows from the data and the ranks: num_classes, label_offset (a
    number), steps_per_epoch, total_steps, warmup_steps, decay_steps, trusted_updates, float16,
    dynamic_loss_scale, initial_loss_scale, stop_on_nan, dropout, longest_loop, inspects (whether
    anything looks inside steps).

    Raises UsageError where one step of all ranks wants more images than the data set has.
    """
    batch = config.batch_size * world_size
    if batch > dataset.num_examples:
        ranks = f' on {world_size} ranks' if world_size > 1 else ''
        raise UsageError(
            f'--batch_size={config.batch_size}{ranks} is larger than the data set '
            f'({dataset.num_examples} images): use a smaller one'
        )
    steps_per_epoch = dataset.num_examples / batch
    total_steps = config.max_train_steps or max(1, math.ceil(config.max_epoch * steps_per_epoch))
    initial, dynamic = config.loss_scale
    offset = 0 if config.label_offset == 'auto' else int(config.label_offset)
    return config.replace(
        label_offset=offset,  # of auto, see fine_tuning.with_label_offset
        num_classes=dataset.num_classes + offset,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        longest_loop=min(config.iterations_per_loop, total_steps),
        warmup_steps=config.warmup_epochs * steps_per_epoch,
        decay_steps=config.num_epochs_per_decay * steps_per_epoch,
        initial_loss_scale=initial,
        dynamic_loss_scale=dynamic,
        float16=float16_graph(config),
        stop_on_nan=config.nan_policy == 'stop',
        dropout=not config.deterministic,
        trusted_updates=TRUSTED_UPDATES if fine_tunes(config) else 0.0,
        inspects=any(
            (
                config.step,
                config.dump_steps,
                config.profile_steps,
                config.norms_every_steps,
                config.histograms_every_steps,
            )
        ),
    )
