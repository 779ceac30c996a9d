"""The host CPU as a device: sinking is a while loop around the step, overflow is a gradient that is not finite."""
import tensorflow as tf

from mobilenet.devices import cores


class HostDevice:
    """One process on a CPU. Several ranks talk over TensorFlow's own gRPC servers."""
    name = 'host'

    def __init__(self, addresses=None, rank=0):
        self._addresses, self._rank = addresses, rank
        self.target = ''

    def session_config(self, iterations_per_loop, world_size):
        """tf.ConfigProto; with several ranks also starts this rank's server and points `target` at it."""
        del iterations_per_loop
        config = tf.ConfigProto(allow_soft_placement=True, intra_op_parallelism_threads=cores(),
                                inter_op_parallelism_threads=min(2, cores()))
        if world_size > 1:
            config.inter_op_parallelism_threads = 2
            config.experimental.collective_group_leader = '/job:worker/replica:0/task:0'
            config.device_filters.append('/job:worker/task:{}'.format(self._rank))
            server = tf.train.Server(tf.train.ClusterSpec({'worker': self._addresses}), 'worker', self._rank, config=config)
            self._server, self.target = server, server.target
        return config

    def overflow_check(self, collectives):
        del collectives  # a mean with one rank's NaN or infinity in it is not finite on any
        return FiniteGradients()

    def sink(self, build_step, read_values):
        """Builds the step inside a while loop; gives the Loop.

        build_step: called once, gives the step's Operation. read_values: called once, gives a structure of tensors
        that are read after the loop's last step.
        """
        count = tf.placeholder(tf.int32, [], 'iterations')

        def body(i):
            with tf.control_dependencies([build_step()]):
                return i + 1
        done = tf.while_loop(lambda i: i < count, body, [tf.constant(0)], parallel_iterations=1, back_prop=False)
        with tf.control_dependencies([done]):
            values = tf.nest.map_structure(tf.identity, read_values())
        return Loop(done.op, values, count)

    def initialize(self, sess):
        """Nothing to start."""

    def shutdown(self, sess):
        """Nothing to end."""


class FiniteGradients:
    """Overflow on a host: a gradient, after the mean over the ranks, that is not finite."""

    def begin(self):
        """Nothing to allocate before the backward pass."""

    def all_finite(self, local_gradients, mean_gradients):
        del local_gradients
        return tf.reduce_all(tf.stack([tf.reduce_all(tf.is_finite(g)) for g in mean_gradients]))


class Loop:
    """A sunk step: `run(sess, n)` runs n steps in one session.run and gives `values` after the last."""

    def __init__(self, op, values, count):
        self.op, self.values, self._count = op, values, count

    def run(self, sess, n):
        return sess.run([self.values, self.op], {self._count: n})[0]
