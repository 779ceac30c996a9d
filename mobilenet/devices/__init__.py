"""Devices, and all that differs between them. Importing this package does not import TensorFlow.

A device, from `create`, has `session(longest_loop, world_size)`, `sink`, `overflow_check`,
`dump_steps`, `multi_tensor` (what computes on all weights), `fetchable_step` and
`when_all_finite` (what a report says that finds no NaN).
`rules(name)` has what flags mean on it.
"""

import gc
import importlib
import importlib.util
import os
import sys

from mobilenet import cores
from mobilenet.devices import threads
from mobilenet.errors import UsageError

NAMES = ('host', 'npu')
# The adapter's modes, each with what it computes in what. A host has the first three (and auto).
PRECISION_MODES = {
    'must_keep_origin_dtype': 'every op in the type the graph has, float32; 910A may lack the ops',
    'allow_mix_precision': 'float16 where the device gains by it, variables in float32',
    'force_fp16': 'float16 in every op that has it',
    'allow_fp32_to_fp16': 'float32, and float16 only in ops that have no float32',
    'force_fp32': 'float32 in every op that has it, whatever the graph has',
    'cube_fp16in_fp32out': 'convolutions and matrix products from float16 to float32',
    'allow_mix_precision_fp16': 'allow_mix_precision by its longer name',
    'allow_mix_precision_bf16': 'as allow_mix_precision, in bfloat16',
    'allow_fp32_to_bf16': 'float32, and bfloat16 only in ops that have no float32',
}
HOST_PRECISION_MODES = tuple(PRECISION_MODES)[:3]
# In them gradients may be float16, which wants a loss scale.
FLOAT16_MODES = (
    'allow_mix_precision',
    'force_fp16',
    'allow_fp32_to_fp16',
    'cube_fp16in_fp32out',
    'allow_mix_precision_fp16',
)
_RULES = {'host': 'mobilenet.devices.host_rules', 'npu': 'mobilenet.devices.npu_options'}


def choose(name):
    """`--device` -> 'host' or 'npu'. Raises UsageError for npu where there is no adapter."""
    there = importlib.util.find_spec('npu_bridge') is not None
    if name == 'npu' and not there:
        raise UsageError(
            '--device=npu: npu_bridge is not on the Python path: source the CANN set_env.sh, '
            'or use --device=host'
        )
    return name if name != 'auto' else 'npu' if there else 'host'


def rules(name):
    """The module that knows a device's defaults and checks: ITERATIONS_PER_LOOP, NEEDS_ADDRESSES,
    NEEDS_RANK_TABLE, FLOAT16_GRAPH,
    precision_mode(mode), check(config)."""
    return importlib.import_module(_RULES[name])


def npu_flags(training):
    """The table of the flags that are for an NPU alone."""
    return rules('npu').FLAGS if training else rules('npu').SESSION_FLAGS


def create(config, addresses=None, rank=0):
    """The device of config.device. addresses: 'host:port' of every rank, for the host's servers."""
    if config.device == 'npu':
        from mobilenet.devices import npu, npu_options

        return npu.NpuDevice(npu_options.from_flags(config))
    from mobilenet.devices import host

    return host.HostDevice(addresses, rank, inter_op=_threads(config).inter_op)


def _threads(config):
    return threads.choose(
        config.model_name, config.image_size, config.batch_size, config.kernels, cores.count()
    )


def import_tensorflow(config=None):
    """TensorFlow 1.15 without its start-up warnings, with the threads and kernels that suit the
    config's work (without one a thread a core). What is set in the environment stays.
    """
    import warnings

    if config is not None:
        chosen = _threads(config)
        late = 'tensorflow' in sys.modules  # which has read TF_DISABLE_MKL
        assert not late or threads.kernels_of_environment() or chosen.kernels == 'onednn'
        threads.set_environment(chosen)
    os.environ.setdefault('OMP_NUM_THREADS', str(cores.count()))
    os.environ.setdefault('KMP_BLOCKTIME', '0')
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    # XLA compiles nothing here, but would look at every new graph for what it might: seconds.
    os.environ.setdefault('TF_XLA_FLAGS', '--tf_xla_clustering_fuel=0')
    warnings.filterwarnings('ignore', category=FutureWarning)
    gc.disable()  # all that an import makes stays: looking for garbage is a tenth of it
    import tensorflow as tf

    gc.enable()
    if not tf.__version__.startswith('1.15.'):
        raise UsageError(
            f'TensorFlow is {tf.__version__} here, and has to be 1.15: run scripts/setup.sh once, '
            'then `. .venv/bin/activate`'
        )
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    return tf
