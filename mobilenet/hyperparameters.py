"""From flags to what the step needs: lengths in steps, and what `auto` means."""

import math
import types

from mobilenet import flags
from mobilenet.errors import UsageError


def from_flags(args, dataset, world_size, device_name):
    """Every flag, plus num_classes, steps_per_epoch, total_steps, warmup_steps, decay_steps, float16, dynamic_loss_scale,
    initial_loss_scale and dropout.

    Raises UsageError where one step of all ranks wants more images than the data set has.
    """
    batch = args.batch_size * world_size
    if batch > dataset.num_examples:
        raise UsageError(
            '--batch_size={}{} is larger than the data set ({} images): use a smaller one'.format(
                args.batch_size,
                f' on {world_size} ranks' if world_size > 1 else '',
                dataset.num_examples,
            )
        )
    hp = types.SimpleNamespace(**vars(args))
    hp.num_classes = dataset.num_classes
    hp.steps_per_epoch = dataset.num_examples / batch
    hp.total_steps = args.max_train_steps or max(1, math.ceil(args.max_epoch * hp.steps_per_epoch))
    hp.warmup_steps = args.warmup_epochs * hp.steps_per_epoch
    hp.decay_steps = args.num_epochs_per_decay * hp.steps_per_epoch
    hp.initial_loss_scale, hp.dynamic_loss_scale = args.loss_scale
    # On an NPU the adapter chooses the types of the ops, by its own precision_mode.
    hp.float16 = device_name == 'host' and args.precision_mode in flags.FLOAT16_MODES
    hp.trainable_scopes = flags.scopes(args.trainable_scopes)
    hp.checkpoint_exclude_scopes = flags.scopes(args.checkpoint_exclude_scopes)
    hp.stop_on_nan = args.nan_policy == 'stop'
    hp.dropout = not args.deterministic
    return hp
