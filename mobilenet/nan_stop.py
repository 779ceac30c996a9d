"""The end of a run that a NaN has halted: whose it is, and files to look at."""

import tensorflow as tf

from mobilenet import training_graph
from mobilenet.errors import Failure
from mobilenet.hooks import Hook


class NanStop(Hook):
    """Runs the step that was not finite once more, to be looked at. write_sheet(path, images,
    captions, title) draws.
    """

    def __init__(self, write_sheet):
        self._write_sheet = write_sheet

    def end(self, run, error):
        if error is not None or not run.halted or run.quitting:
            return
        text, mine = self._look(run)
        hidden = '' if mine else run.device.hidden_overflow()
        if hidden:
            text, mine = f'{text}; {hidden}', True
        if run.world_size > 1:
            run.graph.loop.run(
                run.sess, 1
            )  # changes nothing in a halted run; waits for all ranks to have looked
        raise Failure(text, kind='nan' if mine else 'peer')

    def _look(self, run):
        """(the line that tells of it, whether anything of this rank was not finite)."""
        from mobilenet.debug import post_mortem

        if run.graph.step:
            return post_mortem.look(run, run.graph, run.sess, self._write_sheet)
        values = run.graph.read(run.sess)
        with (
            tf.Graph().as_default()
        ):  # on a host the step is inside the loop, where nothing can be fetched
            alone = run.collectives.alone()
            graph = training_graph.build(
                run.config, run.pipeline, run.device, alone, to_inspect=True
            )
            with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as sess:
                sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
                graph.write(sess, values)
                return post_mortem.look(run, graph, sess, self._write_sheet)
