"""Flags of train_loop.py and eval_loop.py. No TensorFlow here: `--help` and every check of a value stay instant."""

import argparse
import math
import os
import re

from mobilenet import cores
from mobilenet.errors import UsageError
from mobilenet.nets import MODEL_NAMES

OPTIMIZERS = ('sgd', 'momentum', 'rmsprop', 'adam', 'adagrad', 'adadelta', 'ftrl')
SCHEDULES = ('fixed', 'exponential', 'polynomial', 'cosine_annealing')
PRECISION_MODES = (
    'auto',
    'allow_mix_precision',
    'force_fp16',
    'must_keep_origin_dtype',
    'allow_fp32_to_fp16',
)
FLOAT16_MODES = ('allow_mix_precision', 'force_fp16')
DEFAULT_EPOCHS = 300
DYNAMIC_START = 4096.0


class Parser(argparse.ArgumentParser):
    """argparse, but wrong use is one line on stderr and exit status 2."""

    def error(self, message):
        self.exit(
            2, '{}: {} (--help lists the flags)\n'.format(self.prog, message.replace('\n', ' '))
        )


def boolean(text):
    """`--flag`, `--flag=true`, `--flag=false`, as absl and slim take them."""
    if text.lower() in ('true', 't', '1', 'yes'):
        return True
    if text.lower() in ('false', 'f', '0', 'no'):
        return False
    raise argparse.ArgumentTypeError(f'{text!r} is not true or false')


def number(low, high=math.inf, kind=float, open_low=False):
    """An argparse type: a finite `kind` within [low, high], or (low, high] with `open_low`."""

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                '{!r} is not {}'.format(text, 'a whole number' if kind is int else 'a number')
            )
        if not (low < value if open_low else low <= value) or value > high or math.isinf(value):
            raise argparse.ArgumentTypeError(
                '{} is out of range: use {} {}{}'.format(
                    text,
                    'more than' if open_low else 'at least',
                    low,
                    '' if math.isinf(high) else f' and at most {high}',
                )
            )
        return value

    return parse


def count(low=1):
    return number(low, kind=int)


def loss_scale(text):
    """`auto`, a number, `dynamic` or `dynamic:START` -> 'auto' or (start, is_dynamic)."""
    if text == 'auto':
        return text
    kind, _, start = text.partition(':')
    if kind == 'dynamic':
        return (number(1.0)(start) if start else DYNAMIC_START, True)
    return (number(0.0, open_low=True)(text), False)


def steps(text):
    """'0,10-12' -> [[0, 0], [10, 12]]."""
    ranges = []
    for part in text.split(','):
        match = re.match(r'(\d+)(?:-(\d+))?$', part.strip())
        if not match or match.group(2) and int(match.group(2)) < int(match.group(1)):
            raise argparse.ArgumentTypeError(f'{text!r} is no list of steps: use such as 0,10-12')
        ranges.append([int(match.group(1)), int(match.group(2) or match.group(1))])
    return ranges


def add_switch(group, name, help_text):
    group.add_argument(
        name, nargs='?', const=True, default=False, type=boolean, metavar='BOOL', help=help_text
    )


def add_data_flags(parser, dataset_names, preprocessing_names):
    group = parser.add_argument_group('data')
    group.add_argument(
        '--dataset_name',
        default='imagenet',
        choices=dataset_names,
        help="default imagenet: TFRecords in TF-slim's layout; digits and synthetic need no folder",
    )
    group.add_argument('--dataset_dir', help='folder of the data set')
    group.add_argument(
        '--preprocessing_name',
        default='inception_v2',
        choices=preprocessing_names,
        help='default inception_v2; none only resizes',
    )
    group.add_argument(
        '--image_size', type=count(8), default=224, help='pixels a side, default 224'
    )
    group.add_argument(
        '--data_threads',
        type=count(),
        default=cores.count(),
        help='threads that decode; default: the cores of this process',
    )
    group.add_argument(
        '--normalize_on',
        default='host',
        choices=('host', 'device'),
        help='device: images travel as uint8 and become -1..1 on the device',
    )
    group.add_argument(
        '--on_bad_record',
        default='stop',
        choices=('stop', 'skip'),
        help='stop (default) with status 2 at a record that cannot be read, or skip and count it',
    )


def add_model_flags(parser):
    group = parser.add_argument_group('model')
    group.add_argument('--model_name', default='mobilenet_v1', choices=MODEL_NAMES)
    group.add_argument(
        '--precision_mode',
        default='auto',
        choices=PRECISION_MODES,
        help='auto: allow_mix_precision on npu, must_keep_origin_dtype (float32) on host',
    )


def add_device_flags(parser):
    group = parser.add_argument_group('device and ranks')
    group.add_argument(
        '--device',
        default='auto',
        choices=('auto', 'host', 'npu'),
        help='auto: npu where npu_bridge imports, else host',
    )
    return group


def add_rank_flags(group):
    group.add_argument(
        '--rank_table',
        help='one process for each device of this table; a bare file name is looked up '
        'in hccl/ too',
    )
    group.add_argument(
        '--server_id', help='which server of the table this is; default: by its addresses'
    )
    group.add_argument(
        '--base_port',
        type=number(1024, 65000, int),
        default=29600,
        help='host, several servers: ports from here on, one a rank; default 29600',
    )
    group.add_argument(
        '--bind_cores',
        default='auto',
        metavar='auto|none|0-11:12-23',
        help='auto (default): an equal share of the cores to each rank; or the cores of each',
    )


def add_schedule_flags(parser):
    group = parser.add_argument_group('length and learning rate')
    group.add_argument(
        '--max_train_steps', type=count(), help='batches to train on (skipped ones included)'
    )
    group.add_argument(
        '--max_epoch',
        type=number(0, open_low=True),
        help=f'passes over the data; default {DEFAULT_EPOCHS} where --max_train_steps is not given',
    )
    group.add_argument(
        '--iterations_per_loop',
        type=count(),
        help='steps that sink into one session.run; default 100 on npu, 10 on host',
    )
    group.add_argument(
        '--learning_rate', type=number(0, open_low=True), default=0.4, help='default 0.4'
    )
    group.add_argument('--learning_rate_decay_type', default='cosine_annealing', choices=SCHEDULES)
    group.add_argument(
        '--learning_rate_decay_factor',
        type=number(0, open_low=True),
        default=0.94,
        help='exponential: the factor, default 0.94',
    )
    group.add_argument(
        '--num_epochs_per_decay',
        type=number(0, open_low=True),
        default=2.0,
        help='exponential: epochs from one decay to the next, default 2',
    )
    group.add_argument(
        '--end_learning_rate',
        type=number(0),
        default=0.0001,
        help='polynomial: the rate at the end, default 0.0001',
    )
    group.add_argument(
        '--warmup_epochs', type=number(0), default=5.0, help='linear from 0, default 5'
    )


def add_optimizer_flags(parser):
    group = parser.add_argument_group('optimizer and regularization')
    group.add_argument('--optimizer', default='momentum', choices=OPTIMIZERS)
    group.add_argument('--momentum', type=number(0, 1), default=0.9, help='momentum: default 0.9')
    group.add_argument('--weight_decay', type=number(0), default=0.00004, help='default 0.00004')
    group.add_argument('--label_smoothing', type=number(0, 1), default=0.1, help='default 0.1')
    group.add_argument(
        '--moving_average_decay',
        type=number(0, 1),
        default=0.9999,
        help='of the weights (EMA), default 0.9999; 0: none',
    )
    group.add_argument(
        '--loss_scale',
        type=loss_scale,
        default='auto',
        metavar='NUMBER|dynamic[:START]',
        help=f'auto: dynamic from {DYNAMIC_START:g} with float16, 1 without',
    )
    for name, default, used_by in (
        ('opt_epsilon', 1.0, 'rmsprop, adam, adadelta'),
        ('rmsprop_momentum', 0.9, 'rmsprop'),
        ('rmsprop_decay', 0.9, 'rmsprop'),
        ('adam_beta1', 0.9, 'adam'),
        ('adam_beta2', 0.999, 'adam'),
        ('adagrad_initial_accumulator_value', 0.1, 'adagrad'),
        ('adadelta_rho', 0.95, 'adadelta'),
        ('ftrl_learning_rate_power', -0.5, 'ftrl'),
        ('ftrl_initial_accumulator_value', 0.1, 'ftrl'),
        ('ftrl_l1', 0.0, 'ftrl'),
        ('ftrl_l2', 0.0, 'ftrl'),
    ):
        low = -math.inf if name == 'ftrl_learning_rate_power' else 0
        group.add_argument(
            '--' + name, type=number(low), default=default, help=f'{used_by}: default {default:g}'
        )


def add_run_flags(parser):
    group = parser.add_argument_group('the run')
    group.add_argument(
        '--train_dir', default='results/train', help='files of the run; default results/train'
    )
    group.add_argument(
        '--seed', type=count(0), default=0, help='of weights, shuffling, augmentation; default 0'
    )
    group.add_argument(
        '--save_every_steps',
        type=count(),
        default=1000,
        help='a checkpoint at the first loop end after so many steps, and one at the end; default 1000',
    )
    group.add_argument(
        '--keep_checkpoints', type=count(), default=5, help='the newest so many stay; default 5'
    )
    group.add_argument(
        '--log_every_steps',
        type=count(),
        default=100,
        help='a line in train.log at the first loop end after so many steps; default 100',
    )
    group.add_argument(
        '--nan_policy',
        default='stop',
        choices=('stop', 'skip'),
        help='at a loss or gradient that is not finite (and no overflow of a loss scale): stop (default) '
        'with status 1, the weights of before and a dump of the batch and of what is not finite, or skip the batch',
    )
    group.add_argument(
        '--summary_images_at_step',
        type=count(0),
        metavar='STEP',
        help='the images that go in at this step, in TensorBoard',
    )


def add_debug_flags(parser):
    group = parser.add_argument_group('looking inside (steps are counted in batches, from 0)')
    add_switch(group, '--step', 'stop before the first step and take commands; help lists them')
    group.add_argument(
        '--step_script',
        metavar='FILE',
        help='as --step, with the commands of a file, or of stdin (-)',
    )
    add_switch(
        group,
        '--deterministic',
        'for comparisons: initial weights computed on the host and saved as model.ckpt-0, the '
        'order of the files, no augmentation, no dropout',
    )
    group.add_argument(
        '--dump_steps',
        type=steps,
        metavar='0,10-12',
        help="write tensors of these steps as .npy; on npu also the device's own dump",
    )
    group.add_argument(
        '--dump_tensors',
        metavar='A,B',
        help='which, such as act:*,grad:Conv2d_0; default images, weights, '
        'activations, losses and gradients',
    )
    group.add_argument('--dump_dir', help='where to; default TRAIN_DIR/dumps')
    group.add_argument(
        '--norms_every_steps',
        type=count(),
        metavar='N',
        help='norms of gradients and weights per layer in TensorBoard',
    )
    group.add_argument(
        '--histograms_every_steps',
        type=count(),
        metavar='N',
        help='histograms of weights, gradients and activations in TensorBoard',
    )
    group.add_argument(
        '--profile_steps',
        type=steps,
        metavar='10-12',
        help='host: a Chrome trace and a table of op types in TRAIN_DIR/profile (npu: --npu_profiling_mode)',
    )


def check_debugging(args):
    """Combinations that cannot work. args.device is resolved."""
    args.step = args.step or args.step_script is not None
    for name in ('dump_tensors', 'dump_dir'):
        if getattr(args, name) is not None and args.dump_steps is None:
            raise UsageError(f'--{name} does nothing without --dump_steps')
    if args.step and args.rank_table:
        raise UsageError('--step is for one device: leave out --rank_table')
    if args.profile_steps and args.device == 'npu':
        raise UsageError(
            '--profile_steps is for host: on npu use --npu_profiling_mode and --npu_profiling_options'
        )
    if args.step_script not in (None, '-') and not os.path.isfile(args.step_script):
        raise UsageError(f'--step_script={args.step_script}: no such file')


def add_fine_tuning_flags(parser):
    group = parser.add_argument_group('fine-tuning')
    group.add_argument(
        '--checkpoint_path', help='start from these weights (a checkpoint or a folder of them)'
    )
    group.add_argument(
        '--checkpoint_exclude_scopes',
        default='',
        metavar='A,B',
        help='variables that are not taken from it, by the start of their names',
    )
    group.add_argument(
        '--trainable_scopes', default='', metavar='A,B', help='train only these variables'
    )
    add_switch(
        group,
        '--ignore_missing_vars',
        'variables that the checkpoint lacks keep their initial values',
    )


def scopes(text):
    return [scope.strip() for scope in text.split(',') if scope.strip()]


def check_dataset_dir(args):
    if args.dataset_name in ('imagenet', 'folder') and not args.dataset_dir:
        raise UsageError(f'--dataset_name={args.dataset_name} needs --dataset_dir')


def check_training(args):
    if args.max_train_steps is not None and args.max_epoch is not None:
        raise UsageError('--max_train_steps and --max_epoch are both given: give one of them')
    if args.max_train_steps is None and args.max_epoch is None:
        args.max_epoch = float(DEFAULT_EPOCHS)
    check_dataset_dir(args)


def resolve_precision(args):
    """Replaces `auto` in --precision_mode and --loss_scale by what it means on args.device."""
    if args.precision_mode == 'auto':
        args.precision_mode = (
            'allow_mix_precision' if args.device == 'npu' else 'must_keep_origin_dtype'
        )
    if args.device == 'host' and args.precision_mode == 'allow_fp32_to_fp16':
        raise UsageError(
            '--precision_mode=allow_fp32_to_fp16 is for npu: use allow_mix_precision or '
            'must_keep_origin_dtype on host'
        )
    if getattr(args, 'loss_scale', None) == 'auto':  # an evaluation has none
        float16 = args.precision_mode in FLOAT16_MODES
        args.loss_scale = (DYNAMIC_START, True) if float16 else (1.0, False)
