"""What the text of an NPU flag may be, checked without TensorFlow and without a device."""

import os
import re

from mobilenet import json_files
from mobilenet.errors import UsageError

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
        'task_block',
        'task_tsfw',
        'sys_mem_serviceflow',
        'sys_lp_freq',
        'optype',
    )
)
MAX_DUMP_SETS = 100


def parse(flag, kind, text):
    """The value of a flag of one of the kinds of npu_options. Raises UsageError."""
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
    if not re.match(r'[0-9]{1,9}\Z', text):
        raise UsageError(flag + 'must be a whole number from 0 to 999999999')
    return int(text)


def _memory_size(flag, text):
    if not re.match(r'[0-9]{1,18}(\*[0-9]{1,18})*\Z', text):
        raise UsageError(flag + 'must be a product of numbers, such as 31*1024*1024*1024')
    if not all(int(f) for f in text.split('*')):
        raise UsageError(flag + 'must be above 0')
    return text


def _folder(flag, text):
    if '\0' in text or not os.path.isdir(text):
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
    if not all(re.match(r'[0-9]{1,18}(-[0-9]{1,18})?\Z', s) for s in sets):
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
        options = json_files.loads(text)
    except ValueError as e:
        raise UsageError(flag + f'is not JSON: {e}')
    if not isinstance(options, dict) or not all(
        isinstance(v, str) or json_files.is_count(v) for v in options.values()
    ):
        raise UsageError(flag + 'must be a JSON object of strings ("on", not true)')
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
    for key in ('task_trace', 'task_time'):  # what is none of these is off, without a word
        if not re.match(r'(on|off|l[0-9])\Z', str(options.get(key, 'off'))):
            raise UsageError(flag + f'{key} must be "on", "off" or a level such as "l1"')
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
