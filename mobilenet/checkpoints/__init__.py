"""Checkpoints: saving and finding them. What they hold for others is mobilenet/weights/."""

import tensorflow as tf

from mobilenet.checkpoints import alias
from mobilenet.checkpoints.checksums import Damaged
from mobilenet.checkpoints.names import in_folder, is_whole, latest, resolve, step_of
from mobilenet.checkpoints.store import Checkpointer, SaveError, batches_of, check, load
from mobilenet.errors import UsageError

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
