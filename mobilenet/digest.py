"""One line that is equal on all ranks where every bit of what they share is."""

import hashlib

import tensorflow as tf

from mobilenet.hooks import Hook


class WeightsDigest(Hook):
    """Over several ranks: the sha256 of what is common to all, in every rank's log at the end."""

    def end(self, run, error):
        if error is None and run.world_size > 1:
            run.say(f'weights sha256 {digest(run.sess.run(common_to_all_ranks()))}')


def common_to_all_ranks():
    """{name: variable}: weights, their slots and averages, counters. Batch norm statistics are each
    rank's own.
    """
    return {v.op.name: v for v in tf.global_variables() if '/moving_' not in v.op.name}


def digest(values):
    """sha256 of {name: array}, as hex: equal where every bit is, whatever the order of the dict."""
    whole = hashlib.sha256()
    for name, value in sorted(values.items()):
        whole.update(f'{name} {value.dtype} {value.shape};'.encode())
        whole.update(value.tobytes())
    return whole.hexdigest()
