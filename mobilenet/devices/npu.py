"""The Ascend NPU, through Huawei's TensorFlow 1.15 adapter (`npu_bridge`).

The order in a training process (CANN, "Training in sess.run mode" and "Initializing Collective
Communication"); what is built into the graph comes before it is finalized:

1. build the graph: `sink` builds the step once, and the ops that start and stop HCCL;
2. open ONE `session(...)`; its first run starts HCCL, before any `hccl.manage.api` call, and the
gradient split is set;
3. initialise or restore variables, then broadcast them from rank 0 (after a restore, again);
4. `loop.run(sess, n)`, again and again;
5. leave the session, on all ranks: HCCL is ended before it is closed.

This module imports `npu_bridge` only where it is used: `available()` is cheap, and importing the
module is possible everywhere.
"""

import contextlib
import glob
import importlib.util
import os

import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python import pywrap_tensorflow

from mobilenet import ending, multi_tensor
from mobilenet.devices import float_status, host, memory, npu_op_list, npu_options
from mobilenet.errors import UsageError

TRAINING_RUN_MODE = 1
# The adapter compares the whole node name with this one.
ITERATION_OP = 'IterationOp'


def available():
    """Whether `npu_bridge` is installed (it is not imported for the answer)."""
    return importlib.util.find_spec('npu_bridge') is not None


def refuse_onednn():
    """Raises UsageError where TensorFlow is the oneDNN build: the adapter's compiled library is
    made
    for stock TensorFlow, with another C++ ABI, and fails on an unknown symbol.
    """
    folder = importlib.util.find_spec('npu_bridge').submodule_search_locations[0]
    compiled = glob.glob(os.path.join(glob.escape(folder), '**', '*.so'), recursive=True)
    if compiled and pywrap_tensorflow.IsMklEnabled():
        raise UsageError(
            '--device=npu with the oneDNN build of TensorFlow, which has another C++ ABI than '
            f'{compiled[0]}: run TF_BUILD=system scripts/setup.sh, or use --device=host'
        )


def apply_gradient_split(options):
    """Sets the pieces in which HCCL all-reduces the gradients, if `options` has any.

    Call it after `initialize`, before the first run of the training graph. Without it HCCL takes
    two pieces, 96.54 and 3.46 per cent of the bytes.
    """
    split = options.gradient_split
    if split is None:
        return
    from hccl.split.api import set_split_strategy_by_idx, set_split_strategy_by_size

    if split.by == 'idx':
        set_split_strategy_by_idx(list(split.values))
    else:
        set_split_strategy_by_size(list(split.values))


class NpuDevice:
    """One Ascend device. `options` is the `NpuOptions` of `mobilenet.devices.npu_options`."""

    name = 'npu'
    fetchable_step = True  # a sunk step's tensors can be fetched beside IterationOp

    def __init__(self, options):
        refuse_onednn()
        import npu_bridge  # noqa: F401  Registers the adapter's graph passes with TensorFlow.
        from npu_bridge.estimator.npu import npu_plugin

        ending.before_exit(npu_plugin.npu_close)
        self.options = options
        self.gradients = options.gradients
        self.multi_tensor = multi_tensor.Stock()
        # With the host's ops, for a comparison with it, also its channels.
        self.block = host.block() if self.gradients == 'composed' else 1
        self.longest_loop = 1  # of the open session

    @contextlib.contextmanager
    def session(self, longest_loop, world_size):
        """An open tf.Session on the default graph, with HCCL where there are several ranks; every
        rank leaves it.

        The same values go to every session of a process.
        """
        _refuse_other_ranks(world_size)
        self.longest_loop = longest_loop
        with tf.Session(config=self.session_config(longest_loop)) as sess:
            if world_size > 1:
                sess.run(_system_ops(sess.graph)[0])
                apply_gradient_split(self.options)
            yield sess
            if world_size > 1:
                sess.run(_system_ops(sess.graph)[1])

    def session_config(self, longest_loop):
        """tf.ConfigProto for a session whose longest sunk loop has `longest_loop` steps."""
        config = tf.ConfigProto(allow_soft_placement=True)
        rewrite = config.graph_options.rewrite_options
        # The adapter has rewrites of its own; these two of TensorFlow's break them.
        rewrite.remapping = RewriterConfig.OFF
        rewrite.memory_optimization = RewriterConfig.OFF
        optimizer = rewrite.custom_optimizers.add()
        optimizer.name = 'NpuOptimizer'
        parameters = {
            'use_off_line': True,
            'enable_data_pre_proc': True,  # GetNext on the device, without which nothing sinks
            'iterations_per_loop': longest_loop,
            'graph_run_mode': TRAINING_RUN_MODE,
        }
        parameters.update(self.options.parameters)
        for key, value in parameters.items():
            _set_parameter(optimizer.parameter_map[key], value)
        return config

    def dump_steps(self, folder, ranges):
        """Sets the device's own dump of the outputs of all ops to `folder`, unless flags ask for
        another.

        ranges: [(first, last)] of steps, counted from the first of the process. Before the session
        is opened.
        """
        parameters = self.options.parameters
        if ranges and not {'enable_dump', 'enable_dump_debug'} & set(parameters):
            os.makedirs(folder, exist_ok=True)
            sets = [f'{first}-{last}' if first < last else str(last) for first, last in ranges]
            parameters.update(
                enable_dump=True, dump_path=os.path.realpath(folder), dump_step='|'.join(sets)
            )
            parameters.setdefault('dump_mode', 'output')

    def check_graph(self, step):
        """Lines to tell of the built train_step.Step. Raises UsageError where an op of it would not
        sink, or --gradient_split is for another number of gradients.
        """
        npu_options.check_gradient_split(self.options.gradient_split, len(step.gradients))
        fetched = [self._loop.op] + [t.op for t in tf.nest.flatten(self._loop.values)]
        return npu_op_list.check(fetched, self.options.allow_host_ops)

    @property
    def when_all_finite(self):
        """What a person should know who looks for a NaN and finds none."""
        if float_status.is_saturating() is False:
            return ''
        return (
            ' (a device that saturates turns NaN into 0: --npu_enable_dump_debug=true '
            '--npu_dump_debug_mode=all --npu_dump_path=DIR dumps the ops that overflow)'
        )

    def overflow_check(self, collectives):
        """A `FloatStatus`; `collectives` may be None where there is one rank."""
        return float_status.FloatStatus(collectives)

    def keep_dtype(self):
        """A scope whose ops keep the types they have, whatever --precision_mode."""
        from npu_bridge.estimator.npu import npu_scope

        return npu_scope.keep_dtype_scope()

    def where_true(self, predicate, build_op):
        """A tensor that is there after `build_op()` has run where the predicate is true."""

        def taken():
            with tf.control_dependencies([build_op()]):
                return tf.constant(True)

        return tf.cond(predicate, taken, lambda: tf.constant(False))

    def primitive_cache(self):
        """To be told before steps run: an NPU keeps none."""
        return memory.NoCache()

    def sink(self, build_step, read_values, to_inspect=False):
        """Builds the step, once, and returns the `Loop` that runs it.

        build_step: called once, without arguments; gives the tf.Operation of one training step.
          It is at the graph's top level, so that there is nothing more to do `to_inspect` it.
        read_values: called once after it; gives a structure of tensors to report. They are read
          after the step, so that a run returns them as its last step leaves them.
        Raises TypeError where the step is no Operation, ValueError where the graph holds a sunk
        step already.
        """
        del to_inspect
        _system_ops(tf.get_default_graph())
        step = build_step()
        if not isinstance(step, tf.Operation):
            raise TypeError(f'the training step must be a tf.Operation, not {type(step)}')
        with tf.control_dependencies([step]), self.keep_dtype():
            values = tf.nest.map_structure(tf.identity, read_values())
        self._loop = Loop(self, step, values)
        return self._loop


class Loop:
    """A sunk step. `op` is its IterationOp, `values` the tensors that `run` returns."""

    def __init__(self, device, step, values):
        from npu_bridge.estimator.npu.util import IterationPerLoop

        self.values = values
        self._device = device
        self._step = step
        self._iteration = IterationPerLoop()
        # The default scope: the name may have no prefix. It changes the graph, so it is here.
        with tf.name_scope(None):
            self.op = self._iteration.create_iteration_per_loop_var(step)
        if self.op.name != ITERATION_OP:
            raise ValueError(
                f'the graph has a sunk step already: a second one would be named {self.op.name}, '
                f'and the adapter looks for {ITERATION_OP}'
            )
        self._session = None  # the one that `_loaded` is loaded in
        self._loaded = None

    def run(self, sess, n):
        """Runs `n` steps in one session run and returns `values` after the last of them.

        `n` is at most the iterations_per_loop of the session's configuration; less for a
        shortened last loop.
        """
        longest = self._device.longest_loop
        if not 1 <= n <= longest:
            raise ValueError(f'a loop of {n} steps in a session configured for 1 to {longest}')
        return self._run(sess, n, longest, [])[0]

    def run_step(self, sess, fetches, feeds=None, options=None, run_metadata=None):
        """One step: (values after it, `fetches`, tensors of the step, as it computed them).

        feeds: in place of the input's next batch, which then stays where it is.
        """
        longest = self._device.longest_loop
        return self._run(sess, 1, longest, fetches, feeds, options, run_metadata)

    def _run(self, sess, n, longest, fetches, feeds=None, options=None, run_metadata=None):
        op = self.op
        if longest == 1 or feeds:
            # Nothing to sink, no IterationOp: as the adapter's own set_iteration_per_loop does.
            op = self._step
        else:
            self._load(sess, n, longest)
        return sess.run([self.values, fetches, op], feeds, options, run_metadata)[:2]

    def _load(self, sess, n, longest):
        if self._session is not sess:
            # The first load has to agree with the configuration, also if n is less at once.
            self._iteration.load_iteration_per_loop_var(sess, longest)
            self._session, self._loaded = sess, longest
        if self._loaded != n:
            self._iteration.load_iteration_per_loop_var(sess, n)
            self._loaded = n


def _refuse_other_ranks(world_size):
    """The adapter reads RANK_SIZE by itself, and aborts where it finds no other ranks."""
    size = os.environ.get('RANK_SIZE') or '1'
    if size != str(world_size):
        raise UsageError(
            f'RANK_SIZE={size} in the environment, but this command has {world_size} rank: unset '
            'RANK_SIZE and RANK_ID'
        )


def _system_ops(graph):
    """(start, stop) ops of the graph, made at the first call: before the graph is finalized."""
    from npu_bridge.estimator import npu_ops

    makers = (
        ('npu_initialize_system', npu_ops.initialize_system),
        ('npu_shutdown_system', npu_ops.shutdown_system),
    )
    try:
        return tuple(graph.get_operation_by_name(name) for name, _ in makers)
    except KeyError:
        with graph.as_default(), tf.name_scope(None), tf.control_dependencies(None):
            return tuple(make(name=name) for name, make in makers)


def _set_parameter(attr, value):
    """Puts a bool, an int or a str into an AttrValue. A bool is an int too, so it comes first."""
    if isinstance(value, bool):
        attr.b = value
    elif isinstance(value, int):
        attr.i = value
    else:
        attr.s = os.fsencode(value)  # a path need not be UTF-8
