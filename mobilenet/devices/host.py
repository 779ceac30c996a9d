"""The host CPU as a device: sinking is a while loop around the step, overflow is a gradient that is
not finite.
"""

import contextlib

import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python import pywrap_tensorflow

from mobilenet import cores, multi_tensor, native, text
from mobilenet.devices import memory
from mobilenet.errors import Failure
from mobilenet.nets import onednn


class HostDevice:
    """One process on a CPU. Several ranks talk over TensorFlow's own gRPC servers."""

    name = 'host'
    when_all_finite = ''
    fetchable_step = (
        False  # unless it is sunk `to_inspect`: tensors inside the loop cannot be fetched
    )

    def __init__(self, addresses=None, rank=0, inter_op=None):
        """inter_op: ops at once, see threads.py."""
        self._addresses, self._rank = addresses, rank
        several = addresses and len(addresses) > 1
        self._inter_op = 2 if several else inter_op or min(2, cores.count())
        self.gradients, self.block = gradients(), block()
        ops = native.load()
        self.multi_tensor = multi_tensor.Compiled(ops) if ops else multi_tensor.Stock()

    @contextlib.contextmanager
    def session(self, longest_loop, world_size):
        """An open tf.Session on the default graph, not made the default one (an evaluation's may
        be open beside the training's); with several ranks also this rank's server, which it works
        on.
        """
        del longest_loop
        config = session_config(self._inter_op)
        if world_size == 1:
            with contextlib.closing(tf.Session(config=config)) as sess:
                yield sess
            return
        config.experimental.collective_group_leader = '/job:worker/replica:0/task:0'
        config.device_filters.append(f'/job:worker/task:{self._rank}')
        cluster = tf.train.ClusterSpec({'worker': self._addresses})
        try:
            self._server = tf.train.Server(cluster, 'worker', self._rank, config=config)
        except tf.errors.UnknownError as error:  # gRPC does not say more
            raise Failure(
                f'rank {self._rank} cannot listen on {self._addresses[self._rank]}: is that port '
                f'taken? ({text.one_line(str(error))})'
            )
        with tf.Session(self._server.target, config=config) as sess:
            yield sess

    def check_graph(self, step):
        """Lines to tell of the built step."""
        del step
        if native.load() or not pywrap_tensorflow.IsMklEnabled():
            return []
        return [
            'the C++ kernels are not compiled: a step takes a tenth longer '
            '(with g++, `python -m mobilenet.native` compiles them)'
        ]

    def keep_dtype(self):
        """A scope in which the device may not lower the precision: nothing does on a host."""
        return contextlib.nullcontext()

    def dump_steps(self, folder, ranges):
        """A host has no dump of its own."""

    def overflow_check(self, collectives):
        del collectives  # a mean with one rank's NaN or infinity in it is not finite on any
        return FiniteGradients(self.multi_tensor)

    def where_true(self, predicate, build_op):
        """A tensor that is there after `build_op()` has run, or where the predicate is false,
        which keeps all that is built in it from running.

        Not tf.cond, which has a Switch for each of hundreds of tensors: one is enough, by way of
        control dependencies.
        """
        otherwise, taken = tf.raw_ops.Switch(data=predicate, pred=predicate)
        with tf.control_dependencies([tf.identity(taken)]):
            op = build_op()
        with tf.control_dependencies([op]):
            return tf.raw_ops.Merge(inputs=[otherwise, tf.identity(taken)]).output

    def primitive_cache(self):
        """To be told before steps run; adds ops to the default graph."""
        return memory.PrimitiveCache(self._inter_op) if onednn.kernels() else memory.NoCache()

    def sink(self, build_step, read_values, to_inspect=False):
        """Builds the step inside a while loop; gives the Loop.

        build_step: gives the step's Operation; called once, or with `to_inspect` twice: first at
        the graph's top level,
        where a session can fetch every tensor of it (Loop.run_step), then in the loop. read_values:
        gives a structure of
        tensors that are read after the last step.
        """
        single = after(build_step(), read_values) if to_inspect else None
        count = tf.placeholder(tf.int32, [], 'iterations')

        def body(i):
            with tf.control_dependencies([build_step()]):
                return i + 1

        done = tf.while_loop(
            lambda i: i < count, body, [tf.constant(0)], parallel_iterations=1, back_prop=False
        )
        return Loop(after(done.op, read_values), count, single, self.primitive_cache())


def session_config(inter_op):
    """tf.ConfigProto of one process on a CPU. inter_op: ops at once."""
    config = tf.ConfigProto(
        allow_soft_placement=True,
        intra_op_parallelism_threads=cores.count(),
        inter_op_parallelism_threads=inter_op,
    )
    # What changes nothing in these graphs, and takes a fifth of a second at the first run.
    rewrite = config.graph_options.rewrite_options
    rewrite.meta_optimizer_iterations = RewriterConfig.ONE
    rewrite.memory_optimization = RewriterConfig.NO_MEM_OPT
    return config


def gradients():
    """What nets.build wants: oneDNN's kernel Relu6Grad is slow, Eigen's and ours are fast."""
    if not onednn.kernels():
        return 'stock'
    return 'compiled' if native.load() else 'onednn'


def block():
    """What nets.build wants: channels in a block of oneDNN's layout, with AVX-512; with AVX2 8."""
    return 16 if onednn.kernels() else 1


class FiniteGradients:
    """Overflow on a host: a gradient, after the mean over the ranks, that is not finite."""

    def __init__(self, arithmetic):
        """arithmetic: of multi_tensor."""
        self._arithmetic = arithmetic

    def begin(self, images):
        """Before the step: gives its images."""
        return images

    def all_finite(self, mean_gradients, after):
        """Scalar bool. after: what else has to be computed before a device is asked."""
        del after
        return self._arithmetic.all_finite(mean_gradients)


def after(op, read_values):
    """(op, values as they are after it)."""
    with tf.control_dependencies([op]):
        return op, tf.nest.map_structure(tf.identity, read_values())


class Loop:
    """A sunk step: `run(sess, n)` runs n steps in one session.run and gives the values after the
    last.
    """

    def __init__(self, sunk, count, single, cache):
        self._sunk, self._count, self._single, self._cache = sunk, count, single, cache
        self._begun = False

    def run(self, sess, n):
        if not self._begun:
            self._begun = True
            self._optimize(sess)
        self._cache.before(sess, n)
        op, values = self._sunk
        return sess.run([values, op], {self._count: n})[0]

    def _optimize(self, sess):
        """The graph is optimized, which takes memory, before a step takes it.

        Not over ranks: each counts its runs of a graph with collectives from rank 0's count at its
        first one, so all have to be in that one together, which no run without a step holds them
        to (TensorFlow's RpcCollectiveExecutorMgr).
        """
        if not any(op.type.startswith('Collective') for op in sess.graph.get_operations()):
            self.run(sess, 0)
            memory.give_back()

    def run_step(self, sess, fetches, feeds=None, options=None, run_metadata=None):
        """One step of a loop built `to_inspect`: (values after it, `fetches`, tensors of the step,
        as it computed them).

        feeds: in place of the input's next batch, which then stays where it is.
        """
        self._cache.before(sess, 1)
        op, values = self._single
        return sess.run([values, fetches, op], feeds, options, run_metadata)[:2]
