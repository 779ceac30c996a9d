"""Flags for Ascend NPUs, checked without TensorFlow and without a device.

Every flag is `--npu_` and the key of the same name in the session configuration of Huawei's
TensorFlow adapter (CANN, "Session Configuration Options"). The adapter answers a wrong value with
LOG(FATAL): the process is gone, with its reason in a log file. So values are checked here first,
and a wrong one raises `UsageError` with the flag's name, before anything is built.
"""

import collections

from mobilenet.devices import PRECISION_MODES, npu_values
from mobilenet.errors import UsageError
from mobilenet.flag_types import add_group, boolean, flag

ITERATIONS_PER_LOOP = 100
NEEDS_ADDRESSES = False  # HCCL finds the other ranks by the rank table
NEEDS_RANK_TABLE = True
FLOAT16_GRAPH = False  # the adapter chooses the types of the ops, by its own precision_mode

DUMP_MODES = ('input', 'output', 'all')
DUMP_DEBUG_MODES = ('aicore_overflow', 'atomic_overflow', 'all')
OP_IMPL_MODES = (
    'high_performance',
    'high_precision',
    'high_performance_for_all',
    'high_precision_for_all',
)
CACHE_MODES = ('enable', 'disable', 'force')
MAX_GRADIENT_PIECES = 8

# How by is 'size' (percentages of the gradients' bytes) or 'idx' (last gradient of each piece).
GradientSplit = collections.namedtuple('GradientSplit', 'by values')

# `parameters` maps a key of the adapter's parameter_map to a bool, an int or a str: those that
# were set, and no others, so that the adapter's own defaults hold. `gradient_split` is None or a
# GradientSplit. `allow_host_ops`: ops that do not sink are reported, and not refused.
# `gradients`: 'stock', relu6's is the device's own fused kernel, or 'composed', see nets.build.
NpuOptions = collections.namedtuple(
    'NpuOptions', 'parameters gradient_split allow_host_ops gradients', defaults=(False, 'stock')
)

# Key of the configuration, kind, help. Kinds are names of the check functions below.
_FLAGS = (
    ('hcom_parallel', 'bool', 'run all-reduce beside the backward pass'),
    ('enable_dump', 'bool', 'dump inputs or outputs of every op to --npu_dump_path'),
    ('dump_path', 'folder', 'folder for dumps; it must exist'),
    ('dump_step', 'dump_step', 'steps to dump, such as "0|5|10" or "3-5"; all by default'),
    ('dump_mode', DUMP_MODES, 'what to dump of an op'),
    ('enable_dump_debug', 'bool', 'dump the ops that overflow to --npu_dump_path'),
    ('dump_debug_mode', DUMP_DEBUG_MODES, 'which overflows to dump'),
    ('profiling_mode', 'bool', 'profile, as --npu_profiling_options says'),
    (
        'profiling_options',
        'profiling_options',
        'a JSON object, such as {"output": "/tmp/prof", "task_trace": "on"}',
    ),
    ('op_debug_level', (0, 1, 2, 3, 4), 'how much to keep of the compilation of ops'),
    ('enable_exception_dump', (0, 1, 2), 'dump the op that raised an exception'),
    ('op_select_implmode', OP_IMPL_MODES, 'favour speed or precision in the choice of kernels'),
    ('variable_memory_max_size', 'memory_size', 'bytes for variables: "31*1024*1024*1024"'),
    ('graph_memory_max_size', 'memory_size', 'bytes for activations: "26*1024*1024*1024"'),
    ('session_device_id', 'natural', 'logical device, over ASCEND_DEVICE_ID'),
    ('hcom_multi_mode', 'bool', 'several models with collectives in one process'),
    ('op_compiler_cache_mode', CACHE_MODES, 'keep compiled ops on disk'),
    ('op_compiler_cache_dir', 'new_folder', 'where to keep compiled ops'),
    ('mix_compile_mode', 'bool', 'leave some ops to the host; not with iterations_per_loop > 1'),
)
KEYS = tuple(key for key, _, _ in _FLAGS)


def _choices(kind):
    return '|'.join(str(k) for k in kind) if isinstance(kind, tuple) else None


# A key that does something only where another one is on.
_NEEDS = (
    ('dump_step', ('enable_dump',)),
    ('dump_mode', ('enable_dump',)),
    ('dump_debug_mode', ('enable_dump_debug',)),
    ('dump_path', ('enable_dump', 'enable_dump_debug')),
    ('profiling_options', ('profiling_mode',)),
)


_ALL_SESSION_FLAGS = [
    flag(
        f'npu_{key}',
        text,
        metavar='true|false' if kind == 'bool' else _choices(kind),
        device='npu',
        bare='true' if kind == 'bool' else None,
    )
    for key, kind, text in _FLAGS
]
# Of any session, and those of a training as well: an evaluation has one rank.
SESSION_FLAGS = [f for f in _ALL_SESSION_FLAGS if not f.name.startswith('npu_hcom_')]
FLAGS = _ALL_SESSION_FLAGS + [
    flag(
        'gradient_split',
        'pieces in which gradients are all-reduced; "96.54,3.46" by size in per cent, or '
        '"idx:10,20,82" by the index of the last gradient of each piece (in the end that of all)',
        metavar='PIECES',
        device='npu',
    ),
    flag(
        'relu6_gradient',
        "stock: the device's own kernel; host: the ops that take its place on a host with oneDNN, "
        'for comparisons',
        'stock',
        choices=('stock', 'host'),
        device='npu',
    ),
    flag(
        'allow_host_ops',
        'train although some op is not on the list of $ASCEND_OPP_PATH, and runs on the host once '
        'a loop',
        type=boolean,
        device='npu',
    ),
]


def add_flags(parser):
    """Adds the NPU flags to an argparse parser, as a group of their own."""
    add_group(parser, 'Ascend NPU', FLAGS)


def check(config):
    """Raises UsageError where flags of an NPU are wrong, alone or together."""
    parameters = from_flags(config).parameters
    if 'session_device_id' in parameters and getattr(config, 'rank_table', None):
        raise UsageError(
            '--npu_session_device_id is for one device: with --rank_table each rank has its own'
        )
    sets = getattr(config, 'dump_steps', None) or []
    if len(sets) > npu_values.MAX_DUMP_SETS:
        raise UsageError(
            f'--dump_steps has {len(sets)} steps and ranges, and an NPU dumps at most '
            f'{npu_values.MAX_DUMP_SETS} of them: write such as 0-9 for steps in a row'
        )


def from_flags(args):
    """Checks the flags in `args` and returns `NpuOptions`.

    Beside the flags of `add_flags` it reads `args.precision_mode` ('auto' is allow_mix_precision)
    and `args.iterations_per_loop`, where they are there. Raises UsageError that names the flag.
    """
    parameters = collections.OrderedDict()
    parameters['precision_mode'] = precision_mode(getattr(args, 'precision_mode', None) or 'auto')
    for key, kind, _ in _FLAGS:
        text = getattr(args, 'npu_' + key, None)
        if text is not None:
            parameters[key] = npu_values.parse('--npu_' + key, kind, str(text))
    _check_together(parameters, getattr(args, 'iterations_per_loop', None) or 1)
    split = getattr(args, 'gradient_split', None)
    return NpuOptions(
        parameters,
        None if split is None else parse_gradient_split(split),
        bool(getattr(args, 'allow_host_ops', False)),
        'stock' if getattr(args, 'relu6_gradient', 'stock') == 'stock' else 'composed',
    )


def parse_gradient_split(text):
    """'96.54,3.46' or 'idx:10,20,82' -> GradientSplit; raises UsageError."""
    flag = f'--gradient_split={text}: '
    by, pieces = ('idx', text[4:]) if text.startswith('idx:') else ('size', text)
    try:
        values = [int(p) if by == 'idx' else float(p) for p in pieces.split(',')]
    except ValueError:
        raise UsageError(flag + 'give numbers, such as 96.54,3.46 or idx:10,20,82')
    if len(values) > MAX_GRADIENT_PIECES:
        raise UsageError(flag + f'at most {MAX_GRADIENT_PIECES} pieces, not {len(values)}')
    if by == 'idx':
        if values[0] < 0 or any(b <= a for a, b in zip(values, values[1:])):
            raise UsageError(flag + 'indices are to rise, from 0 or above')
    elif not all(0 < v <= 100 for v in values) or abs(sum(values) - 100) > 1e-6:
        raise UsageError(
            flag + f'percentages are to be above 0 and to add up to 100, not {sum(values):g}'
        )
    return GradientSplit(by, values)


def check_gradient_split(split, num_gradients):
    """Raises UsageError where indices do not end with the last gradient. split: a GradientSplit or
    None.
    """
    if split is not None and split.by == 'idx' and split.values[-1] != num_gradients - 1:
        raise UsageError(
            f'--gradient_split=idx:{",".join(map(str, split.values))}: the last index must be '
            f'{num_gradients - 1}, as there are {num_gradients} gradients'
        )


def precision_mode(mode):
    """`--precision_mode` as used on an NPU. Raises UsageError."""
    if mode == 'auto':
        return 'allow_mix_precision'
    return npu_values.parse('--precision_mode', tuple(PRECISION_MODES), mode)


def _check_together(parameters, iterations_per_loop):
    """What no flag shows alone."""
    for key, switches in _NEEDS:
        if key in parameters and not any(parameters.get(s) for s in switches):
            raise UsageError(
                '--npu_{} does nothing without {}'.format(
                    key, ' or '.join('--npu_' + s for s in switches)
                )
            )
    if parameters.get('enable_dump') and parameters.get('enable_dump_debug'):
        raise UsageError(
            '--npu_enable_dump and --npu_enable_dump_debug exclude each other: drop one'
        )
    for switch in ('enable_dump', 'enable_dump_debug'):
        if parameters.get(switch) and 'dump_path' not in parameters:
            raise UsageError(f'--npu_{switch} needs --npu_dump_path, a folder that exists')
    if parameters.get('profiling_mode') and 'profiling_options' not in parameters:
        raise UsageError(
            '--npu_profiling_mode needs --npu_profiling_options, such as '
            '{"output": "/tmp/prof", "task_trace": "on"}'
        )
    if parameters.get('mix_compile_mode') and iterations_per_loop > 1:
        raise UsageError(
            '--npu_mix_compile_mode excludes sinking: set --iterations_per_loop=1 '
            f'(it is {iterations_per_loop})'
        )
