"""Devices. One answers: session_config, target, overflow_check, sink, initialize, shutdown.

Importing this package does not import TensorFlow.
"""

import importlib.util
import os

from mobilenet import cores
from mobilenet.errors import UsageError

ITERATIONS_PER_LOOP = {'host': 10, 'npu': 100}


def choose(name):
    """`--device` -> 'host' or 'npu'. Raises UsageError for npu where the adapter is not installed."""
    there = importlib.util.find_spec('npu_bridge') is not None
    if name == 'npu' and not there:
        raise UsageError(
            '--device=npu: npu_bridge is not on the Python path: source the CANN set_env.sh, or use --device=host'
        )
    return name if name != 'auto' else 'npu' if there else 'host'


def create(args, addresses=None, rank=0):
    """The device of args.device. addresses: 'host:port' of every rank, for the host's servers."""
    if args.device == 'npu':
        from mobilenet.devices import npu, npu_options

        return npu.NpuDevice(npu_options.from_flags(args))
    from mobilenet.devices import host

    return host.HostDevice(addresses, rank)


def import_tensorflow():
    """TensorFlow 1.15 without its start-up warnings, the oneDNN build with a thread a core. What the caller has set stays."""
    import warnings

    os.environ.setdefault('OMP_NUM_THREADS', str(cores.count()))
    os.environ.setdefault('KMP_BLOCKTIME', '0')
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    warnings.filterwarnings('ignore', category=FutureWarning)
    import tensorflow as tf

    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    return tf
