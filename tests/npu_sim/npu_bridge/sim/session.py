"""tf.Session, for configurations with NpuOptimizer: checks, then runs on the CPU."""

import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.client import session as tf_session

from npu_bridge.sim import config as sim_config
from npu_bridge.sim import graph_checks, precision, profile, world
from npu_bridge.sim.fatal import fatal
from npu_bridge.sim.program import Program

_ITERATIONS = 'npu_runconfig/iterations_per_loop'
_original = {}
_queues = {}  # iterator -> the open session in which it was initialised


def take_hold():
    """Puts the simulation into TensorFlow's session class; once."""
    if _original:
        return
    base = tf_session.BaseSession
    for method in ('__init__', 'run', 'close', 'make_callable'):
        _original[method] = getattr(base, method)
    base.__init__, base.run, base.close = _init, _run, _close
    base.make_callable = _make_callable


def _init(self, target='', graph=None, config=None):
    parameters = sim_config.npu_parameters(config) if config is not None else None
    self._npu = None
    self._inspected = {}
    if parameters is not None:
        target, config = _cpu_config(config)
        self._npu = _Npu(parameters)
        profile.start(self, parameters)
    _original['__init__'](self, target, graph, config)


def _cpu_config(config):
    """(target, ConfigProto) on the CPU, with TensorFlow's own rewrites as mobilenet/devices/host.py
    has them.
    """
    cpu = tf.ConfigProto()
    cpu.CopyFrom(config)
    rewrite = cpu.graph_options.rewrite_options
    del rewrite.custom_optimizers[:]
    rewrite.memory_optimization = RewriterConfig.DEFAULT
    return (world.join_cluster(cpu) if world.size() > 1 else ''), cpu


def _close(self):
    for name in [name for name, session in _queues.items() if session is self]:
        del _queues[name]
    world.forget_session(self)
    profile.forget(self)
    _original['close'](self)


def _make_callable(self, fetches, feed_list=None, accept_options=False):
    if self._npu is None:
        return _original['make_callable'](self, fetches, feed_list, accept_options)
    return lambda *values: self.run(fetches, dict(zip(feed_list or [], values)))


def _run(self, fetches, feed_dict=None, options=None, run_metadata=None):
    if self._npu is not None:
        self._npu.check_parameters()
    info, program = _inspect(self, fetches)
    if self._npu is None:
        if info.marks:
            fatal(f'{sorted(info.marks)[0]} runs in a session without NpuOptimizer')
        return _original['run'](self, fetches, feed_dict, options, run_metadata)
    return self._npu.run(self, info, program, fetches, feed_dict, options, run_metadata)


def _inspect(session, fetches):
    """(RunInfo, Program), kept as long as neither the fetches nor the graph change."""
    handler = tf_session._FetchHandler(session.graph, fetches, {})
    tensors, targets = handler.fetches(), list(handler.targets())
    key = (session.graph.version, tuple(t.name for t in tensors), tuple(o.name for o in targets))
    if key not in session._inspected:
        info = graph_checks.inspect(session.graph, [t.op for t in tensors] + targets)
        program = None
        if session._npu is not None:
            graph_checks.check(session.graph, info, session._npu.iterations_per_loop)
            program = session._npu.program(session, tensors, targets, info.ops)
        # All that is needed later; the ops themselves are many.
        session._inspected[key] = info._replace(ops=None), program
    info, program = session._inspected[key]
    return info, program and program.giving(handler)


def _start_queues(session, iterators):
    for name in sorted(iterators):
        if name in _queues:
            fatal(f'{name} is initialised again, and the queue of this name is there')
        _queues[name] = session


class _Npu:
    """The device's side of one session."""

    def __init__(self, parameters):
        self.iterations_per_loop = parameters.get('iterations_per_loop', 1)
        self._parameters = parameters
        # Without data pre-processing on the device there is nothing to sink.
        self._sinks_input = parameters.get('enable_data_pre_proc', False)
        self._first_load = True
        self._loaded = None

    def check_parameters(self):
        """What the adapter finds when it first optimizes a graph: an error of the run."""
        reason = sim_config.run_error(self._parameters)
        if reason:
            raise tf.errors.InternalError(None, None, reason)

    def program(self, session, tensors, targets, ops):
        mode = self._parameters.get('precision_mode', 'allow_fp32_to_fp16')
        try:
            return Program(session, tensors, targets, ops, mode)
        except precision.Unsupported as error:
            raise tf.errors.InternalError(None, None, f'GeOp compile failed: {error}')

    def run(self, session, info, program, fetches, feed_dict, options, run_metadata):
        self._notice_load(fetches, feed_dict)
        _start_queues(session, info.started)
        times = self._times(session, feed_dict) if info.sinks else 1
        values = program.run(feed_dict, times, options, run_metadata)
        if 'NPUInit' in info.marks:
            world.set_initialized(session)
        if 'NPUShutdown' in info.marks:
            world.set_initialized(None)
        return values

    def _notice_load(self, fetches, feed_dict):
        """Variable.load is a run of the variable's initializer with a value fed into it."""
        if getattr(fetches, 'name', '') != _ITERATIONS + '/Assign' or not feed_dict:
            return
        self._loaded = int(list(feed_dict.values())[0]) + 1
        if self._first_load and self._loaded != self.iterations_per_loop:
            fatal(
                f'{self._loaded} iterations loaded, and iterations_per_loop is '
                f'{self.iterations_per_loop} in the configuration'
            )
        if self._loaded > self.iterations_per_loop:
            fatal(
                f'{self._loaded} iterations loaded, more than the {self.iterations_per_loop} of '
                'the configuration'
            )
        self._first_load = False

    def _times(self, session, feed_dict):
        """How often a run with IterationOp runs the graph."""
        if not self._sinks_input:
            return 1
        if self._loaded is None:
            fatal('IterationOp runs before the number of iterations was loaded')
        if feed_dict and self._loaded > 1:
            fatal('a sunk loop takes no feeds')
        # What the device reads: initializing the local variables after the load puts it to 0.
        value = _original['run'](
            session, session.graph.get_tensor_by_name(_ITERATIONS + '/Read/ReadVariableOp:0')
        )
        if value + 1 != self._loaded:
            fatal(
                f'{_ITERATIONS} holds {value}: it was loaded with {self._loaded - 1} and '
                'overwritten since'
            )
        return self._loaded
