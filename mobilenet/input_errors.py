"""An error of the input pipeline as what the person can act on: the record that cannot be read."""

import tensorflow as tf

from mobilenet import errors
from mobilenet.hooks import Hook

READ_AHEAD = 2  # batches that the pipeline may be ahead of the step


class InputErrors(Hook):
    """Looks for the bad record of a failed loop, if it was its input that failed."""

    def around_loop(self, run, n, proceed):
        try:
            return proceed(n)
        except tf.errors.OpError as error:
            raise explained(error, run.pipeline, run.batch, n + READ_AHEAD)


def explained(error, pipeline, first_batch, num_batches):
    """The UsageError that names the record which failed a session, or the error itself."""
    if 'GetNext' not in error.message:
        return error
    bad = pipeline.find_bad_record(first_batch, num_batches)
    return error if bad is None else errors.bad_record(*bad, pipeline.on_bad_record)
