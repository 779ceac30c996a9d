"""What the adapter accepts in a session's configuration, key by key."""

import os
import re

from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from npu_bridge.sim.fatal import fatal

_ANY = None
# Key -> (field of the AttrValue, allowed values, or a pattern, or any).
_PARAMETERS = {
    'use_off_line': ('b', (True,)),
    'enable_data_pre_proc': ('b', _ANY),
    'iterations_per_loop': ('i', r'[1-9]\d*$'),
    'precision_mode': (
        's',
        ('allow_fp32_to_fp16', 'force_fp16', 'must_keep_origin_dtype', 'allow_mix_precision'),
    ),
    'hcom_parallel': ('b', _ANY),
    'graph_run_mode': ('i', (0, 1)),
    'mix_compile_mode': ('b', _ANY),
    'enable_dump': ('b', _ANY),
    'dump_path': ('s', _ANY),
    'dump_step': ('s', r'(\d+(-\d+)?\|)*\d+(-\d+)?$'),
    'dump_mode': ('s', ('input', 'output', 'all')),
    'enable_dump_debug': ('b', _ANY),
    'dump_debug_mode': ('s', ('aicore_overflow', 'atomic_overflow', 'all')),
    'profiling_mode': ('b', _ANY),
    'profiling_options': ('s', r'\s*\{.*\}\s*$'),
    'op_debug_level': ('i', (0, 1, 2, 3, 4)),
    'enable_exception_dump': ('i', (0, 1, 2)),
    'op_select_implmode': (
        's',
        (
            'high_precision',
            'high_performance',
            'high_precision_for_all',
            'high_performance_for_all',
        ),
    ),
    'variable_memory_max_size': ('s', r'\d+(\*\d+)*$'),
    'graph_memory_max_size': ('s', r'\d+(\*\d+)*$'),
    'session_device_id': ('i', r'\d+$'),
    'hcom_multi_mode': ('b', _ANY),
    'op_compiler_cache_mode': ('s', ('enable', 'disable', 'force')),
    'op_compiler_cache_dir': ('s', _ANY),
    'is_tailing_optimization': ('b', _ANY),
}


def npu_parameters(config):
    """Dict of the NpuOptimizer's parameters of a ConfigProto, checked; None if it has none."""
    rewrite = config.graph_options.rewrite_options
    ours = [o for o in rewrite.custom_optimizers if o.name == 'NpuOptimizer']
    if not ours:
        return None
    if len(ours) > 1:
        fatal('the configuration has NpuOptimizer %d times' % len(ours))
    for option in ('remapping', 'memory_optimization'):
        if getattr(rewrite, option) != RewriterConfig.OFF:
            fatal(f'rewrite_options.{option} must be OFF')
    if not config.allow_soft_placement:
        fatal('allow_soft_placement must be True')
    parameters = {key: _checked(key, attr) for key, attr in ours[0].parameter_map.items()}
    _check_together(parameters)
    return parameters


def _checked(key, attr):
    if key not in _PARAMETERS:
        fatal(f'unknown parameter {key} of NpuOptimizer')
    field, allowed = _PARAMETERS[key]
    if attr.WhichOneof('value') != field:
        fatal(
            'parameter {} must be set as .{}, and is set as .{}'.format(
                key, field, attr.WhichOneof('value')
            )
        )
    value = attr.s.decode() if field == 's' else getattr(attr, field)
    if isinstance(allowed, tuple) and value not in allowed:
        fatal(f'parameter {key} must be one of {allowed}, not {value!r}')
    if isinstance(allowed, str) and not re.match(allowed, str(value)):
        fatal(f'parameter {key} is malformed: {value!r}')
    return value


def _check_together(parameters):
    get = parameters.get
    if get('enable_dump') and get('enable_dump_debug'):
        fatal('enable_dump and enable_dump_debug exclude each other')
    if get('enable_dump') or get('enable_dump_debug'):
        path = get('dump_path')
        if path is None:
            fatal('if use dump function, dump_path must be set')
        if not os.path.isdir(path) or not os.access(path, os.R_OK | os.W_OK):
            fatal(f'the path {path} is no directory to read and write')
    for part in get('dump_step', '').split('|'):
        first, _, last = part.partition('-')
        if last and int(first) >= int(last):
            fatal(f'dump_step: in a range the first step is below the second: {part}')
    if get('iterations_per_loop', 1) > 1:
        if not get('enable_data_pre_proc', False):
            fatal('iterations_per_loop > 1 needs enable_data_pre_proc')
        if get('mix_compile_mode', False):
            fatal('iterations_per_loop > 1 excludes mix_compile_mode')
