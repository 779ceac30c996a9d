"""What flags mean on a host CPU, without TensorFlow. npu_options.py is its peer."""

from mobilenet.devices import HOST_PRECISION_MODES
from mobilenet.errors import UsageError

ITERATIONS_PER_LOOP = 10
NEEDS_ADDRESSES = True  # of all ranks, for TensorFlow's own servers
NEEDS_RANK_TABLE = False
FLOAT16_GRAPH = True  # in a float16 mode the graph's convolutions are float16 themselves


def precision_mode(mode):
    """`--precision_mode` as used on a host. Raises UsageError."""
    if mode not in HOST_PRECISION_MODES + ('auto',):
        raise UsageError(
            f'--precision_mode={mode} is for npu: use allow_mix_precision or '
            'must_keep_origin_dtype on host'
        )
    return 'must_keep_origin_dtype' if mode == 'auto' else mode


def check(config):
    """A host has no flags that exclude each other."""
