"""Every function and configuration key of the adapter is in the simulator, as it is
there.
"""

import json
import subprocess
import sys

import pytest

from tests.helpers import npu_case_server

GROUP = 'group hccl_world_group'
HCCL_OPS, NPU = 'npu_bridge.hccl.hccl_ops', 'npu_bridge.estimator.npu'
ALONE = f'fusion 0 fusion_id -1 {GROUP}'
# module, function, parameters in order with their defaults ('-': none).
FUNCTIONS = [
    (HCCL_OPS, 'allreduce', f'tensor - reduction - fusion 1 fusion_id -1 {GROUP}'),
    (HCCL_OPS, 'broadcast', f'tensor - root_rank - fusion 2 fusion_id 0 {GROUP}'),
    (HCCL_OPS, 'allgather', f'tensor - rank_size - {ALONE}'),
    (HCCL_OPS, 'reduce', f'tensor - reduction - root_rank - {ALONE}'),
    (HCCL_OPS, 'reduce_scatter', f'tensor - reduction - rank_size - {ALONE}'),
    (HCCL_OPS, 'send', f'tensor - sr_tag - dest_rank - {GROUP}'),
    (HCCL_OPS, 'receive', f'shape - data_type - sr_tag - src_rank - {GROUP}'),
    ('npu_bridge.estimator.npu_ops', 'initialize_system', 'name None'),
    ('npu_bridge.estimator.npu_ops', 'shutdown_system', 'name None'),
    (NPU + '.util', 'set_iteration_per_loop', 'sess - train_op - iterations_per_loop 1'),
    (NPU + '.npu_scope', 'without_npu_compile_scope', ''),
    (NPU + '.npu_scope', 'keep_dtype_scope', ''),
    (NPU + '.npu_plugin', 'is_inf_nan_enabled', ''),
    (NPU + '.npu_plugin', 'npu_close', ''),
    ('npu_bridge.helper.helper', 'get_gen_ops', ''),
    ('hccl.manage.api', 'get_rank_size', f'{GROUP}'),
    ('hccl.manage.api', 'get_rank_id', f'{GROUP}'),
    ('hccl.manage.api', 'get_local_rank_size', f'{GROUP}'),
    ('hccl.manage.api', 'get_local_rank_id', f'{GROUP}'),
    ('hccl.manage.api', 'get_world_rank_from_group_rank', 'group - group_rank_id -'),
    ('hccl.manage.api', 'get_group_rank_from_world_rank', 'world_rank_id - group -'),
    ('hccl.manage.api', 'create_group', 'group - rank_num - rank_ids -'),
    ('hccl.manage.api', 'destroy_group', 'group -'),
    ('hccl.split.api', 'set_split_strategy_by_idx', f'idxList - {GROUP}'),
    ('hccl.split.api', 'set_split_strategy_by_size', f'dataSizeList - {GROUP}'),
]  # fmt: skip
RAW_OPS = [
    ('npu_alloc_float_status', ''),
    ('npu_get_float_status', 'input_float -'),
    ('npu_clear_float_status', 'float_status -'),
    ('npu_get_float_status_v2', ''),
    ('npu_clear_float_status_v2', ''),
]
KEYS = {
    'b': 'use_off_line enable_data_pre_proc hcom_parallel mix_compile_mode enable_dump '
    'enable_dump_debug profiling_mode hcom_multi_mode is_tailing_optimization',
    'i': 'iterations_per_loop graph_run_mode op_debug_level enable_exception_dump '
    'session_device_id',
    's': 'precision_mode dump_path dump_step dump_mode dump_debug_mode profiling_options '
    'op_select_implmode variable_memory_max_size graph_memory_max_size op_compiler_cache_mode '
    'op_compiler_cache_dir',
}
PROGRAM = """
import importlib, inspect, json, sys
from npu_bridge.helper import helper
from npu_bridge.estimator.npu import util
from npu_bridge.sim import config
def parameters(f):
    items = inspect.signature(f).parameters.values()
    pairs = [(p.name, '-' if p.default is p.empty else p.default) for p in items]
    return ' '.join('{} {}'.format(*pair) for pair in pairs)
def find(module, name):
    return getattr(importlib.import_module(module), name)
loop = util.IterationPerLoop()
ops = helper.get_gen_ops()
print(json.dumps({
    'functions': [parameters(find(module, name)) for module, name, _ in json.loads(sys.argv[1])],
    'ops': {name: parameters(getattr(ops, name)) for name in json.loads(sys.argv[2])},
    'loop': [
        parameters(loop.create_iteration_per_loop_var), parameters(loop.load_iteration_per_loop_var)
    ],
    'placement': parameters(find('npu_bridge.estimator.npu.npu_scope', 'npu_variable_scope')),
    'keys': config.FIELDS,
}))
"""


@pytest.fixture(scope='module')
def interface():
    names = [json.dumps(FUNCTIONS), json.dumps([name for name, _ in RAW_OPS])]
    output = subprocess.check_output(
        [sys.executable, '-W', 'ignore', '-c', PROGRAM] + names,
        env=npu_case_server.environment(),
        universal_newlines=True,
    )
    return json.loads(output)


def test_functions(interface):
    for (module, name, wanted), got in zip(FUNCTIONS, interface['functions']):
        assert got == wanted, (module, name)
    assert interface['loop'] == ['train_op -', 'sess - iterations_per_loop 1']
    assert interface['placement'].startswith('placement ')


def test_raw_ops(interface):
    for name, wanted in RAW_OPS:
        assert interface['ops'][name] == f'{wanted} name None'.strip(), name


def test_configuration_keys(interface):
    wanted = {key: field for field, keys in KEYS.items() for key in keys.split()}
    assert interface['keys'] == wanted
