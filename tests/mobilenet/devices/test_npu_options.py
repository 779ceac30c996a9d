"""NPU flags: what they accept, and that a wrong value is named before anything is built."""

import argparse
import subprocess
import sys

import pytest

from mobilenet import devices
from mobilenet.devices import host_rules, npu_options
from mobilenet.errors import UsageError
from tests.helpers import npu_case_server


def parse(*flags, **others):
    parser = argparse.ArgumentParser()
    npu_options.add_flags(parser)
    args = parser.parse_args(list(flags))
    for name, value in others.items():
        setattr(args, name, value)
    return npu_options.from_flags(args)


def test_nothing_given_sets_nothing_but_the_precision_mode():
    options = parse()
    assert dict(options.parameters) == {'precision_mode': 'allow_mix_precision'}
    assert options.gradient_split is None and options.allow_host_ops is False
    assert parse('--allow_host_ops').allow_host_ops is True
    assert options.gradients == 'stock'
    assert parse('--relu6_gradient=host').gradients == 'composed'
    assert parse(precision_mode='force_fp16').parameters['precision_mode'] == 'force_fp16'


def test_all_flags(tmp_path):
    folder, cache = str(tmp_path), str(tmp_path / 'a' / 'cache')
    profile = f'{{"output": "{folder}", "training_trace": "on", "fp_point": "", "bp_point": ""}}'
    given = {
        'hcom_parallel': 'false',
        'enable_dump': '1',
        'dump_path': folder,
        'dump_step': '0|5|7-10',
        'dump_mode': 'all',
        'profiling_mode': 'true',
        'profiling_options': profile,
        'op_debug_level': '2',
        'enable_exception_dump': '1',
        'op_select_implmode': 'high_precision',
        'variable_memory_max_size': '31*1024*1024*1024',
        'graph_memory_max_size': '1024',
        'session_device_id': '3',
        'hcom_multi_mode': 'true',
        'op_compiler_cache_mode': 'enable',
        'op_compiler_cache_dir': cache,
        'mix_compile_mode': 'true',
    }
    parameters = dict(parse(*['--npu_{}={}'.format(*item) for item in given.items()]).parameters)
    changed = {
        'hcom_parallel': False,
        'enable_dump': True,
        'profiling_mode': True,
        'op_debug_level': 2,
        'enable_exception_dump': 1,
        'session_device_id': 3,
        'hcom_multi_mode': True,
        'mix_compile_mode': True,
        'precision_mode': 'allow_mix_precision',
    }
    assert parameters == dict(given, **changed)
    missing = set(npu_options.KEYS) - set(given)
    assert missing == {'enable_dump_debug', 'dump_debug_mode'}  # they exclude enable_dump
    debug = parse(
        '--npu_enable_dump_debug',
        '--npu_dump_path',
        folder,
        '--npu_dump_debug_mode=aicore_overflow',
    ).parameters
    assert debug['enable_dump_debug'] is True and debug['dump_debug_mode'] == 'aicore_overflow'


WRONG = [
    (['--npu_hcom_parallel=yes'], '--npu_hcom_parallel=yes: must be true or false'),
    (['--npu_enable_dump'], '--npu_enable_dump needs --npu_dump_path'),
    (['--npu_enable_dump_debug'], '--npu_enable_dump_debug needs --npu_dump_path'),
    (['--npu_enable_dump', '--npu_dump_path=/no/such'], '--npu_dump_path=/no/such: no such folder'),
    (
        ['--npu_enable_dump', '--npu_enable_dump_debug', '--npu_dump_path=/tmp'],
        'exclude each other',
    ),
    (['--npu_dump_path=/tmp'], '--npu_dump_path does nothing without --npu_enable_dump or'),
    (['--npu_dump_step=1', '--npu_enable_dump=false'], '--npu_dump_step does nothing without'),
    (['--npu_dump_debug_mode=all'], '--npu_dump_debug_mode does nothing without'),
    (['--npu_dump_mode=inputs'], '--npu_dump_mode=inputs: must be one of input, output, all'),
    (['--npu_dump_step=1,2'], '--npu_dump_step=1,2: must be steps and ranges'),
    (['--npu_dump_step=5-3'], 'a range goes up: 5-3 does not'),
    (['--npu_dump_step=3-3'], 'a range goes up'),
    (['--npu_dump_step=' + '|'.join(map(str, range(101)))], 'at most 100'),
    (['--npu_profiling_mode'], '--npu_profiling_mode needs --npu_profiling_options'),
    (['--npu_profiling_options={'], 'is not JSON'),
    (['--npu_profiling_options=[1]'], 'must be a JSON object'),
    (['--npu_profiling_options={"out": "/tmp"}'], 'unknown key out'),
    (['--npu_profiling_options={"task_trace": "on"}'], 'needs "output"'),
    (['--npu_profiling_options={"output": "/no/such"}'], 'no such folder'),
    (['--npu_profiling_options={"output": "/tmp", "aicpu": "yes"}'], 'aicpu must be "on" or "off"'),
    (['--npu_profiling_options={"output": "/tmp", "training_trace": "on"}'], 'fp_point'),
    (['--npu_profiling_options={"output": "/tmp", "task_trace": true}'], '"on", not true'),
    (['--npu_profiling_options={"output": "/tmp", "task_trace": "yes"}'], 'a level such as "l1"'),
    (['--npu_profiling_options={"output": "/tmp", "task_time": "l"}'], 'task_time must be "on"'),
    (['--npu_op_debug_level=9'], '--npu_op_debug_level=9: must be one of 0, 1, 2, 3, 4'),
    (['--npu_enable_exception_dump=on'], '--npu_enable_exception_dump=on: must be one of 0, 1, 2'),
    (['--npu_op_select_implmode=fast'], 'must be one of high_performance'),
    (['--npu_variable_memory_max_size=31G'], 'a product of numbers'),
    (['--npu_graph_memory_max_size=0*1024'], 'must be above 0'),
    (['--npu_session_device_id=-1'], 'whole number'),
    (['--npu_session_device_id=9999999999'], 'from 0 to 999999999'),
    (['--npu_op_compiler_cache_mode=on'], 'must be one of enable, disable, force'),
    (['--npu_op_compiler_cache_dir=/dev/null'], 'is not a folder'),
    (['--npu_op_compiler_cache_dir=/dev/null/x'], '--npu_op_compiler_cache_dir=/dev/null/x'),
    (['--gradient_split=96.54,3.4'], '--gradient_split=96.54,3.4: percentages'),
    (['--gradient_split=110,-10'], 'above 0'),
    (['--gradient_split=nan,100'], 'percentages'),
    (['--gradient_split=a,b'], 'give numbers'),
    (['--gradient_split=idx:1.5'], 'give numbers'),
    (['--gradient_split=idx:20,10'], 'indices are to rise'),
    (['--gradient_split=idx:-1,10'], 'indices are to rise'),
    (['--gradient_split=' + ','.join(['10'] * 9)], 'at most 8 pieces, not 9'),
]


@pytest.mark.parametrize('flags,reason', WRONG, ids=[' '.join(f)[:60] for f, _ in WRONG])
def test_wrong_values(flags, reason):
    with pytest.raises(UsageError) as raised:
        parse(*flags)
    message = str(raised.value)
    assert reason in message and '\n' not in message and '--' in message


def test_precision_mode_and_mixed_compilation():
    with pytest.raises(UsageError, match='--precision_mode=float16'):
        parse(precision_mode='float16')
    with pytest.raises(UsageError, match='--iterations_per_loop=1'):
        parse('--npu_mix_compile_mode', iterations_per_loop=10)
    assert parse('--npu_mix_compile_mode', iterations_per_loop=1).parameters['mix_compile_mode']


def test_gradient_split():
    assert parse('--gradient_split=96.54,3.46').gradient_split == ('size', [96.54, 3.46])
    split = parse('--gradient_split', 'idx:10,20,82').gradient_split
    assert split == ('idx', [10, 20, 82])
    npu_options.check_gradient_split(split, 83)
    npu_options.check_gradient_split(None, 83)
    for number in (82, 84):
        with pytest.raises(UsageError, match=f'idx:10,20,82: the last index must be {number - 1}'):
            npu_options.check_gradient_split(split, number)


@pytest.mark.parametrize('mode', devices.PRECISION_MODES)
def test_precision_modes(mode):
    """All nine reach the adapter; a host has three of them."""
    assert parse(precision_mode=mode).parameters['precision_mode'] == mode
    if mode in ('must_keep_origin_dtype', 'allow_mix_precision', 'force_fp16'):
        assert host_rules.precision_mode(mode) == mode
    else:
        with pytest.raises(UsageError, match=f'--precision_mode={mode} is for npu'):
            host_rules.precision_mode(mode)


def test_newer_profiling_options(tmp_path):
    text = (
        f'{{"output": "{tmp_path}", "ge_api": "l0", "task_memory": "on", "sys_cpu_freq": "50", '
        '"instr_profiling": "on"}'
    )
    parameters = parse('--npu_profiling_mode', f'--npu_profiling_options={text}').parameters
    assert parameters['profiling_options'] == text


def test_checking_flags_does_not_import_tensorflow():
    code = 'import sys; import mobilenet.devices.npu_options; print("tensorflow" in sys.modules)'
    out = subprocess.check_output(
        [sys.executable, '-c', code], env=npu_case_server.environment(), universal_newlines=True
    )
    assert out.strip() == 'False'


def test_steps_to_dump_are_as_many_as_a_device_takes():
    config = argparse.Namespace(dump_steps=[[n, n] for n in range(100)])
    npu_options.check(config)
    config.dump_steps.append([200, 300])
    with pytest.raises(UsageError, match='--dump_steps has 101 steps .* at most 100'):
        npu_options.check(config)


def test_ranks_do_not_share_a_device():
    config = argparse.Namespace(npu_session_device_id='3', rank_table=None)
    npu_options.check(config)
    config.rank_table = 'hccl_2p.json'
    with pytest.raises(UsageError, match='--npu_session_device_id is for one device'):
        npu_options.check(config)
