"""The flags of train_loop.py and eval_loop.py: one table a group. No TensorFlow here: `--help`
stays instant.
"""

from mobilenet import debug_flags, devices, recipe_flags
from mobilenet.devices import threads
from mobilenet.flag_types import (
    add_group,
    boolean,
    count,
    flag,
    names,
    number,
    retries,
    seconds_or_auto,
)
from mobilenet.nets import MODEL_NAMES
from mobilenet.weight_flags import FINE_TUNING, LABEL_OFFSET, WEIGHTS

# Groups of which `--help` has the names alone; `--help_all` has all.
ONE_OPTIMIZER, NPU = 'for one optimizer', 'Ascend NPU'
# They do nothing on one rank.
SEVERAL_RANKS = (
    'check_weights_every',
    'gradient_split',
    'npu_hcom_parallel',
    'npu_hcom_multi_mode',
)


def data_flags(dataset_names, preprocessing_names):
    """The data group; the names that there are come from the package `data`."""
    return [
        flag(
            'dataset_name',
            "imagenet: TFRecords in TF-slim's layout; digits and synthetic need no folder",
            'imagenet',
            choices=dataset_names,
        ),
        flag('dataset_dir', 'folder of the data set'),
        flag(
            'preprocessing_name', 'none only resizes', 'inception_v2', choices=preprocessing_names
        ),
        flag('image_size', 'pixels a side', 224, count(8)),
        flag(
            'data_threads', 'threads that decode; default: the cores of this process', type=count()
        ),
        flag(
            'normalize_on',
            'device: images travel as uint8 and become -1..1 on the device',
            'host',
            choices=('host', 'device'),
        ),
        flag(
            'apply_exif',
            'with --dataset_name=folder: turn and mirror images as their EXIF data says (TF-slim '
            'does not)',
            False,
            boolean,
        ),
        flag(
            'on_bad_record',
            'stop with status 2 at a record that cannot be read, or skip and count it',
            'stop',
            choices=('stop', 'skip'),
        ),
    ]


PRECISION_MODE = flag(
    'precision_mode',
    'auto: allow_mix_precision on npu, must_keep_origin_dtype (float32) on host',
    'auto',
    choices=('auto',) + tuple(devices.PRECISION_MODES),
)

MODEL = [
    flag('model_name', 'the network and its width', 'mobilenet_v1', choices=MODEL_NAMES),
    PRECISION_MODE,
]

DEVICE = [
    flag(
        'device',
        'auto: npu where npu_bridge imports, else host',
        'auto',
        choices=('auto',) + devices.NAMES,
    ),
    flag(
        'kernels',
        "onednn, or plain: TensorFlow's own, faster for small steps; auto: by the work of a step, "
        'and as before in a resumed run; TF_DISABLE_MKL in the environment wins',
        'auto',
        choices=threads.KERNELS,
        device='host',
    ),
]

RANKS = [
    flag(
        'rank_table',
        'one process for each device of this table; a bare file name is looked up in hccl/ too',
    ),
    flag(
        'rank_table_timeout',
        'seconds to wait for a table whose status is "initializing", or that is not whole yet',
        0.0,
        number(0, 86400),
    ),
    flag('server_id', 'which server of the table this is; default: by its addresses'),
    flag(
        'base_port',
        'several servers: ports from here on, one a rank (host), and the one below for launchers',
        29600,
        number(1024, 65000, int),
    ),
    flag(
        'bind_cores',
        'auto: an equal share of the cores to each rank; or the cores of each',
        'auto',
        metavar='auto|none|0-11:12-23',
    ),
    flag(
        'max_restarts',
        'with --rank_table: how often all ranks start again from the last checkpoint after one '
        'has failed',
        0,
        count(0),
    ),
]

RUN = [
    flag('train_dir', 'files of the run', 'results/train'),
    flag('seed', 'of weights, shuffling, augmentation', 0, count(0)),
    flag(
        'save_every_steps',
        'a checkpoint at the first loop end after so many steps, and one at the end',
        1000,
        count(),
    ),
    flag('keep_checkpoints', 'the newest so many stay', 5, count()),
    flag(
        'eval_every_epochs',
        'evaluate the validation split at the first loop end after so many epochs, and at the end: '
        'a line, eval.jsonl, TensorBoard; over ranks rank 0 does, and the others wait; on the '
        "host's cores, also beside an NPU",
        type=number(0, open_low=True),
        metavar='N',
    ),
    flag(
        'keep_best',
        'so many more stay, the best by top-1 of those that --eval_every_epochs or eval_loop.py '
        '--follow has evaluated',
        0,
        count(0),
    ),
    flag(
        'save_retries',
        'where a checkpoint cannot be written (a full disk) the run goes on and tries again so '
        'often, SECONDS apart, before it ends with status 1',
        '5:60',
        retries,
        metavar='N[:SECONDS]',
    ),
    flag(
        'allow_changed',
        'names of what a resumed run may have otherwise than before, though it decides its '
        'numbers: flags, data_set, class_names',
        [],
        names,
        metavar='A,B',
    ),
    flag(
        'check_weights_every',
        'several ranks: their weights are compared, bit for bit, at the first loop end after so '
        'many steps, and at the end',
        type=count(),
        metavar='N',
    ),
    flag(
        'log_every_steps',
        'a line in train.log at the first loop end after so many steps',
        100,
        count(),
    ),
    flag(
        'step_timeout',
        'end the run with status 1, and stacks in the logs, where a loop takes longer; auto: 20 '
        'times the slowest so far, at least 300 s; the first loop has 1800 s',
        'auto',
        seconds_or_auto,
        metavar='SECONDS|auto',
    ),
    flag(
        'nan_policy',
        'at a loss or gradient that is not finite (and no overflow of a loss scale): stop with '
        'status 1, the weights of before and a dump of the batch and of what is not finite, or '
        'skip the batch',
        'stop',
        choices=('stop', 'skip'),
    ),
    flag(
        'summary_images_at_step',
        'the images that go in at this step, in TensorBoard',
        type=count(0),
        metavar='STEP',
    ),
]


def augment_flag(augmentations):
    return flag(
        'augment',
        'auto: as the preprocessing has it; inception: a random window, flip and colours; flip and '
        "none: evaluation's window",
        'auto',
        choices=augmentations,
    )


def training(dataset_names, preprocessing_names, augmentations):
    """[(title, flags)] of train_loop.py."""
    return [
        ('model', MODEL),
        (
            'data',
            data_flags(dataset_names, preprocessing_names)
            + [
                augment_flag(augmentations),
                LABEL_OFFSET,
                flag('batch_size', 'images a device', 256, count()),
            ],
        ),
        ('length and learning rate', recipe_flags.SCHEDULE),
        ('optimizer and regularization', recipe_flags.OPTIMIZER),
        (ONE_OPTIMIZER, recipe_flags.ONE_OPTIMIZER),
        ('the run', RUN),
        ('looking inside (steps are counted in batches, from 0)', debug_flags.DEBUG),
        ('fine-tuning', FINE_TUNING),
        ('device and ranks', DEVICE + RANKS),
        (NPU, devices.npu_flags(training=True)),
    ]


def evaluation(dataset_names, preprocessing_names):
    """[(title, flags)] of eval_loop.py."""
    return [
        ('model', WEIGHTS + [PRECISION_MODE]),
        (
            'data',
            data_flags(dataset_names, preprocessing_names)
            + [
                LABEL_OFFSET,
                flag('split', 'which images', 'validation', choices=('validation', 'train')),
                flag('batch_size', 'images at once', 64, count()),
            ],
        ),
        (
            'the evaluation',
            [
                flag(
                    'eval_dir',
                    "where eval_*.log and eval.jsonl go; default: the checkpoints' folder",
                ),
                flag(
                    'follow',
                    'wait for new checkpoints, until a signal or --follow_timeout',
                    False,
                    boolean,
                ),
                flag(
                    'follow_timeout',
                    'seconds without a new checkpoint, the first included, that end --follow',
                    type=number(0),
                ),
                flag(
                    'per_class',
                    'also accuracy per class and a confusion matrix, as CSV and PNG',
                    False,
                    boolean,
                ),
            ],
        ),
        ('device and kernels', DEVICE),
        (NPU, devices.npu_flags(training=False)),
    ]


def add_all(parser, groups, whole=True):
    """whole: whether help says what the flags of the rarer groups do, too."""
    for title, flags in groups:
        add_group(parser, title, flags, not whole and title in (ONE_OPTIMIZER, NPU))
