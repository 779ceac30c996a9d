"""Flags for Ascend NPUs, checked without TensorFlow and without a device.

Every flag is `--npu_` and the key of the same name in the session configuration of Huawei's
TensorFlow adapter (CANN, "Session Configuration Options"). The adapter answers a wrong value with
LOG(FATAL): the process is gone, with its reason in a log file. So values are checked here first,
and a wrong one raises `UsageError` with the flag's name, before anything is built.
"""

import collections
import json
import os
import re

from mobilenet.devices import PRECISION_MODES
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
PROFILING_KEYS = frozenset(
    (
        'output',
        'storage_limit',
        'training_trace',
        'task_trace',
        'task_time',
        'hccl',
        'aicpu',
        'fp_point',
        'bp_point',
        'aic_metrics',
        'l2',
        'msproftx',
        'runtime_api',
        'sys_hardware_mem_freq',
        'llc_profiling',
        'sys_io_sampling_freq',
        'sys_interconnection_freq',
        'dvpp_freq',
        'instr_profiling_freq',
        'host_sys',
        'host_sys_usage',
        'host_sys_usage_freq',
        'power',
        'ge_api',
        'task_memory',
        'sys_cpu_freq',
        'instr_profiling',
    )
)
MAX_DUMP_SETS = 100
MAX_GRADIENT_PIECES = 8

# How by is 'size' (percentages of the gradients' bytes) or 'idx' (last gradient of each piece).
GradientSplit = collections.namedtuple('GradientSplit', 'by values')

# `parameters` maps a key of the adapter's parameter_map to a bool, an int or a str: those that
# were set, and no others, so that the adapter's own defaults hold. `gradient_split` is None or a
# GradientSplit. `allow_host_ops`: ops that do not sink are reported, and not refused.
# `stock_relu6_gradient`: relu6's gradient is the device's own kernel.
NpuOptions = collections.namedtuple(
    'NpuOptions',
    'parameters gradient_split allow_host_ops stock_relu6_gradient',
    defaults=(False, True),
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


FLAGS = [
    flag(
        f'npu_{key}',
        text,
        metavar='true|false' if kind == 'bool' else _choices(kind),
        device='npu',
        bare='true' if kind == 'bool' else None,
    )
    for key, kind, text in _FLAGS
] + [
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
    from_flags(config)


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
            parameters[key] = _parse('--npu_' + key, kind, str(text))
    _check_together(parameters, getattr(args, 'iterations_per_loop', None) or 1)
    split = getattr(args, 'gradient_split', None)
    return NpuOptions(
        parameters,
        None if split is None else parse_gradient_split(split),
        bool(getattr(args, 'allow_host_ops', False)),
        getattr(args, 'relu6_gradient', 'stock') == 'stock',
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


def precision_mode(mode):
    """`--precision_mode` as used on an NPU. Raises UsageError."""
    if mode == 'auto':
        return 'allow_mix_precision'
    return _parse('--precision_mode', tuple(PRECISION_MODES), mode)


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


def _parse(flag, kind, text):
    if isinstance(kind, tuple):
        choices = [str(k) for k in kind]
        if text not in choices:
            raise UsageError('{}={}: must be one of {}'.format(flag, text, ', '.join(choices)))
        return kind[choices.index(text)]
    return _KINDS[kind](f'{flag}={text}: ', text)


def _bool(flag, text):
    if text.lower() not in ('true', 'false', '1', '0'):
        raise UsageError(flag + 'must be true or false')
    return text.lower() in ('true', '1')


def _natural(flag, text):
    if not re.match(r'\d{1,9}$', text):
        raise UsageError(flag + 'must be a whole number, 0 or above')
    return int(text)


def _memory_size(flag, text):
    if not re.match(r'\d+(\*\d+)*$', text):
        raise UsageError(flag + 'must be a product of numbers, such as 31*1024*1024*1024')
    if not all(int(f) for f in text.split('*')):
        raise UsageError(flag + 'must be above 0')
    return text


def _folder(flag, text):
    if not os.path.isdir(text):
        raise UsageError(flag + 'no such folder; make it first')
    if not os.access(text, os.R_OK | os.W_OK):
        raise UsageError(flag + 'this user may not read and write there')
    return os.path.realpath(text)


def _new_folder(flag, text):
    if os.path.exists(text) and not os.path.isdir(text):
        raise UsageError(flag + 'is not a folder')
    try:
        os.makedirs(text, exist_ok=True)
    except OSError as e:
        raise UsageError(flag + f'cannot be made: {e.strerror}')
    return _folder(flag, text)


def _dump_step(flag, text):
    sets = text.split('|')
    if not all(re.match(r'\d+(-\d+)?$', s) for s in sets):
        raise UsageError(flag + 'must be steps and ranges between bars, such as 0|5|10-20')
    if len(sets) > MAX_DUMP_SETS:
        raise UsageError(flag + f'at most {MAX_DUMP_SETS} steps and ranges')
    for s in sets:
        first, _, last = s.partition('-')
        if last and int(first) >= int(last):
            raise UsageError(flag + f'a range goes up: {s} does not')
    return text


def _profiling_options(flag, text):
    try:
        options = json.loads(text)
    except ValueError as e:
        raise UsageError(flag + f'is not JSON: {e}')
    if not isinstance(options, dict) or not all(
        isinstance(v, (str, int)) for v in options.values()
    ):
        raise UsageError(flag + 'must be a JSON object of strings')
    unknown = sorted(set(options) - PROFILING_KEYS)
    if unknown:
        raise UsageError(
            flag
            + 'unknown key {}; known are {}'.format(unknown[0], ', '.join(sorted(PROFILING_KEYS)))
        )
    if 'output' not in options:
        raise UsageError(flag + 'needs "output", the folder for the profile')
    _folder(flag + 'output: ', str(options['output']))
    for key in ('training_trace', 'aicpu', 'hccl', 'msproftx'):
        if options.get(key, 'off') not in ('on', 'off'):
            raise UsageError(flag + f'{key} must be "on" or "off"')
    if options.get('training_trace') == 'on' and not {'fp_point', 'bp_point'} <= set(options):
        raise UsageError(
            flag + 'training_trace needs fp_point and bp_point (names of the first '
            'forward and the last backward op, or "")'
        )
    return text


_KINDS = {
    'bool': _bool,
    'natural': _natural,
    'memory_size': _memory_size,
    'folder': _folder,
    'new_folder': _new_folder,
    'dump_step': _dump_step,
    'profiling_options': _profiling_options,
}
