"""Checkpoints: saving and finding them, starting from somebody else's, evaluating with EMA weights."""

import tensorflow as tf

from mobilenet import nets
from mobilenet.checkpoints import alias
from mobilenet.checkpoints.checksums import Damaged
from mobilenet.checkpoints.names import in_folder, is_whole, latest, resolve, step_of
from mobilenet.checkpoints.store import Checkpointer, SaveError, batches_of, check, load
from mobilenet.errors import UsageError
from mobilenet.moving_averages import EMA_SUFFIX

__all__ = [
    'Checkpointer',
    'Damaged',
    'SaveError',
    'batches_of',
    'check',
    'in_folder',
    'is_whole',
    'latest',
    'load',
    'resolve',
    'step_of',
]


def shapes_in(path):
    """{name: shape} of a checkpoint. Raises UsageError where it cannot be read."""
    try:
        with alias.readable(path) as plain:
            return dict(tf.train.list_variables(plain))
    except (tf.errors.OpError, ValueError) as error:
        raise UsageError(
            f'{path} is not a checkpoint that TensorFlow can read ({str(error).splitlines()[0]}): give another'
        )


def match(path, wanted, ignore_missing=False):
    """Those of `wanted` ({name in the checkpoint: variable}) that the checkpoint has.

    Raises UsageError where it is of another network: a variable is missing (unless ignore_missing) or of another shape.
    """
    there = shapes_in(path)
    for name, variable in sorted(wanted.items()):
        if name in there and list(there[name]) != variable.shape.as_list():
            raise UsageError(
                f'{path}: {name} has shape {list(there[name])}, the network wants {variable.shape.as_list()}: it is a checkpoint of another network or number '
                'of classes (--model_name, --checkpoint_exclude_scopes)'
            )
    missing = sorted(set(wanted) - set(there))
    if missing and not ignore_missing:
        raise UsageError(
            '{}: no {}{}: it is a checkpoint of another network (see --model_name, '
            '--ignore_missing_vars)'.format(
                path, missing[0], f' and {len(missing) - 1} more' if missing[1:] else ''
            )
        )
    return {name: variable for name, variable in wanted.items() if name in there}


def model_variables(model_name):
    """Weights and batch norm statistics of the network in the default graph, without slots and EMA."""
    scope = nets.scope_name(model_name) + '/'
    leaves = (
        'weights',
        'depthwise_weights',
        'biases',
        'gamma',
        'beta',
        'moving_mean',
        'moving_variance',
    )
    return [
        v
        for v in tf.global_variables()
        if v.op.name.startswith(scope) and v.op.name.split('/')[-1] in leaves
    ]


def warm_start(path, model_name, exclude_scopes, ignore_missing):
    """A Saver that takes the network's variables from another run's checkpoint (no slots, no counters).

    Raises UsageError, see `match`.
    """
    wanted = {
        v.op.name: v
        for v in model_variables(model_name)
        if not any(v.op.name.startswith(scope) for scope in exclude_scopes)
    }
    found = match(path, wanted, ignore_missing)
    if not found:
        raise UsageError(
            f'{path}: nothing of {model_name} is in it: it is a checkpoint of another network'
        )
    return tf.train.Saver(found)


def evaluation_saver(path, model_name, use_ema):
    """(Saver, whether EMA weights are used) for the evaluation graph: averages where the checkpoint has them."""
    variables = model_variables(model_name)
    there = shapes_in(path)
    ema = use_ema and any(v.op.name + EMA_SUFFIX in there for v in variables)
    wanted = {
        v.op.name + (EMA_SUFFIX if ema and v.op.name + EMA_SUFFIX in there else ''): v
        for v in variables
    }
    return tf.train.Saver(match(path, wanted)), ema
