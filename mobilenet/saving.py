"""When a run saves: every so many steps, at its end, and before an error ends it."""

import time

import tensorflow as tf

from mobilenet.checkpoints import SaveError
from mobilenet.errors import Failure
from mobilenet.hooks import Hook


class Saving(Hook):
    """Rank 0's. With --deterministic also the initial weights, as model.ckpt-0.

    What cannot be saved (a full disk, a folder made read-only) does not end the run: it goes on
    and tries again after a pause, --save_retries times.
    """

    def __init__(self):
        self._failures, self._next_try = 0, None

    def session_ready(self, run):
        self._saved_at = run.batch
        if run.is_main and run.config.deterministic and not run.resumed:
            self._save(run)

    def around_loop(self, run, n, proceed):
        try:
            return proceed(n)
        except tf.errors.OpError:
            # The loop's whole steps are done, the failing one has changed nothing.
            if run.is_main:
                try:
                    run.save()
                except SaveError as error:
                    run.say(str(error))
            raise

    def after_loop(self, run, n, values, seconds):
        if run.is_main and (run.at_end or self._is_due(run) or run.agreed(values, 'save')):
            self._save(run)

    def _is_due(self, run):
        if self._next_try is not None:
            return time.monotonic() >= self._next_try
        return run.batch - self._saved_at >= run.config.save_every_steps

    def _save(self, run):
        """Saves; at the run's end it waits between its tries. Raises Failure after the last."""
        while True:
            try:
                run.save()
            except SaveError as error:
                pause = self._pause_after(run, error)
            else:
                self._saved_at, self._failures, self._next_try = run.batch, 0, None
                return
            if not run.at_end:
                return
            time.sleep(pause)

    def _pause_after(self, run, error):
        retries, pause = run.config.save_retries
        self._failures += 1
        self._next_try = time.monotonic() + pause
        if self._failures > retries:
            tries = f'{self._failures} tries'
            raise Failure(f'{error}, in {tries}; the last good one is {_last(run)}')
        run.say(f'{error}; try {self._failures} of {retries} more in {pause:g} s')
        return pause


def _last(run):
    return run.checkpointer.latest() or 'none'
