"""What the adapter reads in a session's configuration, and what it does not take."""

import os
import re

from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from npu_bridge.sim import precision
from npu_bridge.sim.fatal import fatal

# Keys that the adapter reads, and the field it reads them from: another field reads as empty.
FIELDS = {
    'use_off_line': 'b',
    'enable_data_pre_proc': 'b',
    'iterations_per_loop': 'i',
    'precision_mode': 's',
    'hcom_parallel': 'b',
    'graph_run_mode': 'i',
    'mix_compile_mode': 'b',
    'enable_dump': 'b',
    'dump_path': 's',
    'dump_step': 's',
    'dump_mode': 's',
    'enable_dump_debug': 'b',
    'dump_debug_mode': 's',
    'profiling_mode': 'b',
    'profiling_options': 's',
    'op_debug_level': 'i',
    'enable_exception_dump': 'i',
    'op_select_implmode': 's',
    'variable_memory_max_size': 's',
    'graph_memory_max_size': 's',
    'session_device_id': 'i',
    'hcom_multi_mode': 'b',
    'op_compiler_cache_mode': 's',
    'op_compiler_cache_dir': 's',
    'is_tailing_optimization': 'b',
}
_IMPL_MODES = (
    'high_precision',
    'high_performance',
    'high_precision_for_all',
    'high_performance_for_all',
)
_MAX_DUMP_SETS = 100


def npu_parameters(config):
    """Dict of the NpuOptimizer's known parameters of a ConfigProto; None if it has none.

    Ends the process where the adapter's LOG(FATAL) does; unknown keys are taken in silence.
    """
    rewrite = config.graph_options.rewrite_options
    ours = [o for o in rewrite.custom_optimizers if o.name == 'NpuOptimizer']
    if not ours:
        return None
    for option in ('remapping', 'memory_optimization'):
        if getattr(rewrite, option) != RewriterConfig.OFF:
            fatal(f'rewrite_options.{option} must be OFF')
    if not config.allow_soft_placement:
        fatal('allow_soft_placement must be True')
    given = ours[0].parameter_map
    parameters = {key: _value(given[key], FIELDS[key]) for key in FIELDS if key in given}
    _abort_on(parameters)
    return parameters


def run_error(parameters):
    """What the first run of a session raises for these parameters, or None."""
    mode = parameters.get('precision_mode', 'allow_fp32_to_fp16')
    if mode not in precision.MODES:
        return f'precision_mode should be one of {", ".join(precision.MODES)}, not {mode}'
    if parameters.get('enable_dump') or parameters.get('enable_dump_debug'):
        path = parameters.get('dump_path')
        if path is None:
            return 'if use dump function, dump_path must be set.'
        if not os.path.isdir(path):
            return f'the path {path} is not directory.'
        if not os.access(path, os.R_OK | os.W_OK):
            return f"the path {path} does't have read, write permissions."
    if parameters.get('enable_dump') and 'dump_step' in parameters:
        return _dump_step_error(parameters['dump_step'])
    return None


def _dump_step_error(text):
    if not re.match(r'(\d+(-\d+)?\|)*\d+(-\d+)?$', text):
        return "dump_step string style is error, correct example:'0|5|10|50-100'"
    sets = text.split('|')
    if len(sets) > _MAX_DUMP_SETS:
        return 'dump_step only support dump <= 100 sets of data'
    for part in sets:
        first, _, last = part.partition('-')
        if last and int(first) >= int(last):
            return 'in range steps, the first step is >= second step'
    return None


def _value(attr, field):
    return os.fsdecode(attr.s) if field == 's' else getattr(attr, field)


def _abort_on(parameters):
    get = parameters.get
    if get('graph_run_mode', 1) > 1:
        fatal('graph_run_mode value must be 0 or 1')
    if get('iterations_per_loop', 1) < 1:
        fatal('iterations_per_loop must be positive')
    if get('op_select_implmode', _IMPL_MODES[0]) not in _IMPL_MODES:
        fatal('op select impl mode should be one of the list:[{}]'.format(', '.join(_IMPL_MODES)))
    if get('session_device_id', 0) < 0:
        fatal('session_device_id must be nonnegative integer.')
    for switch, key, values in (
        ('enable_dump', 'dump_mode', ('input', 'output', 'all')),
        ('enable_dump_debug', 'dump_debug_mode', ('aicore_overflow', 'atomic_overflow', 'all')),
    ):
        if get(switch) and get(key, values[0]) not in values:
            fatal(f'{key} should be one of the list:[{", ".join(values)}]')
