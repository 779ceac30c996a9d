"""Checkpoints: saving and finding them, starting from somebody else's, evaluating with EMA weights."""

import os
import re

import tensorflow as tf

from mobilenet import nets
from mobilenet.errors import UsageError
from mobilenet.moving_averages import EMA_SUFFIX

NAME = 'model.ckpt'


def step_of(path):
    """The step in `…/model.ckpt-STEP`; -1 where the name has none."""
    match = re.search(r'-(\d+)$', path)
    return int(match.group(1)) if match else -1


def is_whole(path):
    """Whether the files of a checkpoint prefix are there (the index comes last when one is written)."""
    folder, name = os.path.split(path)
    return os.path.isfile(path + '.index') and any(
        f.startswith(name + '.data-') for f in os.listdir(folder or '.')
    )


def in_folder(folder):
    """The whole checkpoints in a folder, in order of step."""
    found = [
        os.path.join(folder, f[: -len('.index')])
        for f in os.listdir(folder)
        if f.endswith('.index')
    ]
    return sorted((p for p in found if is_whole(p)), key=lambda p: (step_of(p), p))


def resolve(path):
    """A checkpoint prefix, or a folder (its newest checkpoint) -> prefix. Raises UsageError."""
    if os.path.isdir(path):
        found = in_folder(path)
        if not found:
            raise UsageError(f'--checkpoint_path={path}: no checkpoint in this folder')
        return found[-1]
    prefix = re.sub(r'\.(index|meta|data-\d+-of-\d+)$', '', path)
    if not os.path.isdir(os.path.dirname(prefix) or '.') or not is_whole(prefix):
        raise UsageError(f'--checkpoint_path={path}: no such checkpoint or folder')
    return prefix


def shapes_in(path):
    """{name: shape} of a checkpoint. Raises UsageError where it cannot be read."""
    try:
        return dict(tf.train.list_variables(path))
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


def latest(train_dir):
    """Path of the newest checkpoint of the run in a folder, or None."""
    state = tf.train.get_checkpoint_state(train_dir)
    paths = [p for p in (state.all_model_checkpoint_paths if state else []) if is_whole(p)]
    return paths[-1] if paths else None


def batches_of(path):
    """Batches that the run of a checkpoint had taken, skipped ones included."""
    reader = tf.train.load_checkpoint(path)
    return int(reader.get_tensor('global_step') + reader.get_tensor('skipped_steps'))


class Checkpointer:
    """Saves the run's global variables as `TRAIN_DIR/model.ckpt-STEP` and restores the newest.

    The file `checkpoint` is replaced after the data is written: a kill while saving leaves the one before.
    """

    def __init__(self, train_dir, keep):
        self._prefix = os.path.join(train_dir, NAME)
        self._train_dir = train_dir
        self._saver = tf.train.Saver(
            tf.global_variables(), max_to_keep=keep, save_relative_paths=True
        )
        self._variables = {v.op.name: v for v in tf.global_variables()}

    def latest(self):
        return latest(self._train_dir)

    def restore(self, sess):
        """Restores the newest checkpoint; gives its path, or None where there is none. Raises UsageError."""
        path = self.latest()
        if path:
            match(path, self._variables)
            self._saver.restore(sess, path)
            state = tf.train.get_checkpoint_state(self._train_dir)
            self._saver.recover_last_checkpoints(list(state.all_model_checkpoint_paths))
        return path

    def save(self, sess, step):
        """Writes model.ckpt-STEP; gives its path."""
        return self._saver.save(sess, self._prefix, global_step=step, write_meta_graph=False)
