"""The flags of weights that are there: to evaluate, apply, export or train on. No TensorFlow."""

from mobilenet import recipe_flags
from mobilenet.class_labels import OFFSETS
from mobilenet.flag_types import boolean, flag, names, number
from mobilenet.nets import MODEL_NAMES

LABEL_OFFSET = flag(
    'label_offset',
    'added to each label; auto: 1 for 1,000 classes and a network with 1,001 outputs, else 0',
    'auto',
    choices=OFFSETS,
)

# Of weights that are there: they tell of which network they are.
WEIGHTS = [
    flag('checkpoint_path', 'a checkpoint, a folder of them, a frozen graph (.pb) or a SavedModel'),
    flag(
        'model_name',
        'the network and its width; default: what the weights fit',
        choices=MODEL_NAMES,
    ),
    flag('no_ema', 'the raw weights, where the checkpoint has averages', False, boolean),
    flag(
        'class_names',
        "a file that names the network's outputs: a name a line, or slim's labels.txt",
        metavar='FILE',
    ),
]

FINE_TUNING = [
    flag(
        'checkpoint_path',
        'start from these weights: a checkpoint, a folder of them, a frozen graph (.pb) or a '
        'SavedModel; defaults are then '
        + ', '.join(f'--{name}={value:g}' for name, value in recipe_flags.FINE_TUNING.items())
        + f', --max_epoch={recipe_flags.FINE_TUNING_EPOCHS:g}',
    ),
    flag(
        'new_training',
        'the weights of --checkpoint_path are initial values of a new training, no fine-tuning: '
        'defaults and averages are as without it',
        type=boolean,
    ),
    flag(
        'checkpoint_exclude_scopes',
        'scopes that are not taken from it, such as Logits or Conv2d_13_pointwise',
        [],
        names,
        metavar='A,B',
    ),
    flag(
        'trainable_scopes',
        'train only these scopes; batch norm elsewhere works and stays as it is',
        [],
        names,
        metavar='A,B',
    ),
    flag(
        'ignore_missing_vars',
        'variables that the weights lack keep their initial values',
        False,
        boolean,
    ),
    flag(
        'head_lr_factor',
        'the learning rate of the last layer, as a multiple',
        1.0,
        number(0, open_low=True),
    ),
]
