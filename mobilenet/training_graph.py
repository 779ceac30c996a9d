"""The training graph: input, step and loop, and as its session uses it."""

import tensorflow as tf

from mobilenet import schedules, train_step
from mobilenet import state as run_state


def build(config, pipeline, device, collectives, to_inspect=False):
    """The TrainingGraph of a configuration, in the default graph.

    to_inspect: tensors of the step can be fetched, and the learning rate can be set.
    """
    tf.set_random_seed(config.seed)
    start_batch = tf.placeholder(tf.int64, [], 'start_batch')
    iterator = tf.data.make_initializable_iterator(pipeline.dataset(start_batch))
    state = run_state.create(config.initial_loss_scale, collectives.size, rate_override=config.step)
    steps, inputs = [], []

    def build_step():
        images, labels = iterator.get_next()
        if device.fetchable_step or to_inspect and not inputs:
            # A step that can be fed, which only placeholders can: TensorFlow rewrites no graph with
            # a feed elsewhere, so that it rounds differently, and the adapter is such a rewrite.
            # (On an NPU GE's placeholder_with_default_pass takes them out.)
            places = [tf.placeholder_with_default(t, t.shape) for t in (images, labels)]
            images, labels = [tf.identity(place) for place in places]
            inputs.append((places, [images, labels]))
        images = pipeline.normalize(images)
        labels = labels + config.label_offset if config.label_offset else labels
        steps.append(train_step.build(images, labels, config, state, device, collectives))
        return steps[-1].train_op

    def read_values():
        values = state.values()
        last_step = state.scheduled_step(tf.maximum(values['global_step'] - 1, 0))
        values['learning_rate'] = state.learning_rate(schedules.learning_rate(last_step, config))
        return values

    loop = device.sink(build_step, read_values, to_inspect)
    step = steps[0] if to_inspect or device.fetchable_step else None
    return TrainingGraph(state, loop, step, iterator, start_batch, inputs)


class TrainingGraph:
    """state: the counters; loop: the sunk step; step: a train_step.Step whose tensors can be
    fetched, or None.

    Made after the step, so that it knows all variables.
    """

    def __init__(self, state, loop, step, iterator, start_batch, inputs):
        self.state, self.loop, self.step = state, loop, step
        self._iterator, self._start_batch, self._inputs = iterator, start_batch, inputs
        kept = [state.halted] + ([state.rate_override] if state.rate_override is not None else [])
        self._variables = {v.op.name: v for v in tf.global_variables() + kept}

    def seek(self, sess, batch):
        """The next batch that the input gives is number `batch`. Once in a session: nobody knows
        what a second initialisation does to an NPU's queue of batches.
        """
        sess.run(self._iterator.initializer, {self._start_batch: batch})

    def run_step(self, sess, fetches, batch=None, options=None, run_metadata=None):
        """Runs the fetchable step once: (the loop's values after it, `fetches` as it computed
        them).

        batch: (images, labels) as the pipeline gives them, in place of the input's next.
        """
        if batch is None:
            return self.loop.run_step(sess, fetches, None, options, run_metadata)
        places, passed_on = self._inputs[0]
        # Fetched, they stay in the graph. Else what waits for them waits for the places, and the
        # input is drawn from too: TensorFlow cuts a place that is fed off its data, not its waits.
        values, (fetched, _) = self.loop.run_step(
            sess, (fetches, passed_on), dict(zip(places, batch)), options, run_metadata
        )
        return values, fetched

    @property
    def shapes(self):
        """{name: shape, a tuple} of all that a step reads and changes."""
        return {name: tuple(v.shape.as_list()) for name, v in self._variables.items()}

    def read(self, sess, names=None):
        """{name: value} of these variables, or of all."""
        return sess.run({name: self._variables[name] for name in names or self._variables})

    def write(self, sess, values):
        """Sets variables, {name: value}, through their initializers: the graph is finalized."""
        run_state.initialize(sess, [self._variables[name] for name in values], values)


def initial_values(initialize, variables):
    """{name: value} of new variables as a host computes them, whatever the device of the run:
    random ops differ.
    """
    config = tf.ConfigProto(
        graph_options=tf.GraphOptions(place_pruned_graph=True)
    )  # not the collectives, which are elsewhere
    with tf.Session(config=config) as host:
        host.run(initialize)
        return host.run({v.op.name: v for v in variables})
