"""Weights that are equal on all ranks, bit for bit: compared at the end, and on the way."""

import hashlib

import tensorflow as tf

from mobilenet.errors import Failure
from mobilenet.hooks import Hook


class WeightsDigest(Hook):
    """Over several ranks: compares the sha256 of what is common to all at the run's end and every
    --check_weights_every steps, before they are saved; a line in every rank's log at the end.
    """

    def session_ready(self, run):
        self._checked_at, self._variables = run.batch, common_to_all_ranks()

    def after_loop(self, run, n, values, seconds):
        every = run.config.check_weights_every
        due = every is not None and run.batch - self._checked_at >= every
        if run.world_size > 1 and (due or run.at_end):
            self._checked_at = run.batch
            self._compare(run)

    def end(self, run, error):
        if error is None and run.world_size > 1:
            run.say(f'weights sha256 {self._compare(run)}')

    def _compare(self, run):
        """The digest, alike on all ranks. Raises Failure."""
        mine = digest(run.sess.run(self._variables))
        every = [d.decode() for d in run.gather(mine.encode())]
        others = [rank for rank, d in enumerate(every) if d != every[0]]
        if others:
            raise Failure(
                f'after {run.batch} steps the weights of ranks 0 and {others[0]} differ (sha256 '
                f'{every[0][:16]} and {every[others[0]][:16]}): {len(others)} of {len(every)} '
                'ranks have others than rank 0; look for a failing device or memory',
                kind='disagreement',
            )
        return mine


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
