"""A built training graph, as its session uses it."""

import tensorflow as tf


class TrainingGraph:
    """state: the counters; loop: the sunk step; step: a train_step.Step whose tensors can be fetched, or None.

    Made after the step, so that it knows all variables.
    """

    def __init__(self, state, loop, step, iterator, start_batch):
        self.state, self.loop, self.step = state, loop, step
        self._iterator, self._start_batch = iterator, start_batch
        kept = [state.halted] + ([state.rate_override] if state.rate_override is not None else [])
        self._variables = {v.op.name: v for v in tf.global_variables() + kept}

    def seek(self, sess, batch):
        """The next batch that the input gives is number `batch`."""
        sess.run(self._iterator.initializer, {self._start_batch: batch})

    def read(self, sess):
        """{name: value} of all that a step reads and changes."""
        return sess.run(self._variables)

    def write(self, sess, values):
        """Sets variables, {name: value}, through their initializers: the graph is finalized."""
        chosen = [self._variables[name] for name in values]
        sess.run(
            [v.initializer for v in chosen],
            {v.initializer.inputs[1]: values[v.op.name] for v in chosen},
        )


def initial_values(initialize, variables):
    """{name: value} of new variables as a host computes them, whatever the device of the run: random ops differ."""
    config = tf.ConfigProto(
        graph_options=tf.GraphOptions(place_pruned_graph=True)
    )  # not the collectives, which are elsewhere
    with tf.Session(config=config) as host:
        host.run(initialize)
        return host.run({v.op.name: v for v in variables})
