"""The end of a run that a NaN has halted: whose it is, and files to look at."""

import tensorflow as tf

from mobilenet import training_graph
from mobilenet.errors import Failure
from mobilenet.hooks import Hook


class NanStop(Hook):
    """Runs the step that was not finite once more, to be looked at.

    raw_batches(pipeline, first, n) reads batches anew; write_sheet(path, images, captions, title)
    draws.
    """

    def __init__(self, raw_batches, write_sheet):
        self._raw_batches, self._write_sheet = raw_batches, write_sheet

    def end(self, run, error):
        if error is not None or not run.halted or run.quitting:
            return
        text, mine = self._look(run)
        mine = mine or bool(run.device.when_all_finite)  # it may be this rank's, and not be seen
        if run.world_size > 1:
            # Changes nothing in a halted run; waits for all ranks to have looked.
            run.graph.loop.run(run.sess, 1)
        raise Failure(text, kind='nan' if mine else 'peer')

    def _look(self, run):
        """(the line that tells of it, whether anything of this rank was not finite)."""
        from mobilenet.debug import nan_report  # only now: a run without a NaN has no use for it

        (batch,) = self._raw_batches(run.pipeline, run.batch, 1)
        if run.graph.step:
            return nan_report.look(run, run.graph, run.sess, batch, self._write_sheet)
        values = run.graph.read(run.sess)
        # On a host the step is inside the loop, where nothing can be fetched.
        with tf.Graph().as_default():
            graph = training_graph.build(
                run.config, run.pipeline, run.device, run.collectives.alone(), to_inspect=True
            )
            with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as sess:
                sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
                graph.write(sess, values)
                return nan_report.look(run, graph, sess, batch, self._write_sheet)
