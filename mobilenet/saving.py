"""When a run saves: every so many steps, at its end, and before an error ends it."""

import tensorflow as tf

from mobilenet.hooks import Hook


class Saving(Hook):
    """Rank 0's. With --deterministic also the initial weights, as model.ckpt-0."""

    def session_ready(self, run):
        self._saved_at = run.batch
        if run.is_main and run.config.deterministic and not run.resumed:
            run.save()

    def around_loop(self, run, n, proceed):
        try:
            return proceed(n)
        except tf.errors.OpError:
            if run.is_main:  # the loop's whole steps are done, the failing one has changed nothing
                run.save()
            raise

    def after_loop(self, run, n, values, seconds):
        due = run.batch - self._saved_at >= run.config.save_every_steps
        if run.is_main and (due or run.at_end or run.agreed(values, 'save')):
            run.save()
            self._saved_at = run.batch
