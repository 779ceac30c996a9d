"""tf.Session, for configurations with NpuOptimizer: checks, then runs on the CPU."""

import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.client import session as tf_session

from npu_bridge.sim import config as sim_config
from npu_bridge.sim import graph_checks, world
from npu_bridge.sim.fatal import fatal

_ITERATIONS = 'npu_runconfig/iterations_per_loop'
_original = {}


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
    _original['__init__'](self, target, graph, config)


def _cpu_config(config):
    """(target, ConfigProto) on the CPU, with TensorFlow's own rewrites as on any host."""
    cpu = tf.ConfigProto()
    cpu.CopyFrom(config)
    rewrite = cpu.graph_options.rewrite_options
    del rewrite.custom_optimizers[:]
    rewrite.remapping = rewrite.memory_optimization = RewriterConfig.DEFAULT
    return (world.join_cluster(cpu) if world.size() > 1 else ''), cpu


def _close(self):
    world.forget_session(self)
    _original['close'](self)


def _make_callable(self, fetches, feed_list=None, accept_options=False):
    if self._npu is None:
        return _original['make_callable'](self, fetches, feed_list, accept_options)
    return lambda *values: self.run(fetches, dict(zip(feed_list or [], values)))


def _run(self, fetches, feed_dict=None, options=None, run_metadata=None):
    info = _inspect(self, fetches)

    def once():
        return _original['run'](self, fetches, feed_dict, options, run_metadata)

    if self._npu is None:
        if info.marks:
            fatal(f'{sorted(info.marks)[0]} runs in a session without NpuOptimizer')
        return once()
    return self._npu.run(self, info, fetches, feed_dict, once)


def _inspect(session, fetches):
    """RunInfo, kept as long as neither the fetches nor the graph change."""
    handler = tf_session._FetchHandler(session.graph, fetches, {})
    ops = [t.op for t in handler.fetches()] + list(handler.targets())
    key = (session.graph.version, tuple(sorted({op.name for op in ops})))
    if key not in session._inspected:
        info = graph_checks.inspect(session.graph, ops)
        if session._npu is not None:
            graph_checks.check(session.graph, info, session._npu.iterations_per_loop)
        # All that is needed later; the ops themselves are many.
        session._inspected[key] = info._replace(ops=None)
    return session._inspected[key]


class _Npu:
    """The device's side of one session."""

    def __init__(self, parameters):
        self.iterations_per_loop = parameters.get('iterations_per_loop', 1)
        self._first_load = True
        self._loaded = None

    def run(self, session, info, fetches, feed_dict, once):
        self._notice_load(fetches, feed_dict)
        if info.sinks:
            return self._run_sunk(session, feed_dict, once)
        values = once()
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
                '%d iterations loaded, and iterations_per_loop is %d in the configuration'
                % (self._loaded, self.iterations_per_loop)
            )
        if self._loaded > self.iterations_per_loop:
            fatal(
                '%d iterations loaded, more than the %d of the configuration'
                % (self._loaded, self.iterations_per_loop)
            )
        self._first_load = False

    def _run_sunk(self, session, feed_dict, once):
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
                '%s holds %d: it was loaded with %d and overwritten since'
                % (_ITERATIONS, value, self._loaded - 1)
            )
        for _ in range(self._loaded - 1):
            once()
        return once()
