"""Every function and configuration key that ../shared facts list is in the simulator, as it is there."""

import json
import subprocess
import sys

import pytest

from tests.helpers import npu_case_server

WORLD = 'hccl_world_group'
# module, function, parameters in order with their defaults ('-': none).
FUNCTIONS = [
    ('npu_bridge.hccl.hccl_ops', 'allreduce', f'tensor - reduction - fusion 1 fusion_id -1 group {WORLD}'),
    ('npu_bridge.hccl.hccl_ops', 'broadcast', f'tensor - root_rank - fusion 2 fusion_id 0 group {WORLD}'),
    ('npu_bridge.hccl.hccl_ops', 'allgather', f'tensor - rank_size - fusion 0 fusion_id -1 group {WORLD}'),
    ('npu_bridge.hccl.hccl_ops', 'reduce', f'tensor - reduction - root_rank - fusion 0 fusion_id -1 group {WORLD}'),
    ('npu_bridge.hccl.hccl_ops', 'reduce_scatter', f'tensor - reduction - rank_size - fusion 0 fusion_id -1 group {WORLD}'),
    ('npu_bridge.hccl.hccl_ops', 'send', f'tensor - sr_tag - dest_rank - group {WORLD}'),
    ('npu_bridge.hccl.hccl_ops', 'receive', f'shape - data_type - sr_tag - src_rank - group {WORLD}'),
    ('npu_bridge.estimator.npu_ops', 'initialize_system', 'name None'),
    ('npu_bridge.estimator.npu_ops', 'shutdown_system', 'name None'),
    ('npu_bridge.estimator.npu.util', 'set_iteration_per_loop', 'sess - train_op - iterations_per_loop 1'),
    ('npu_bridge.estimator.npu.npu_scope', 'without_npu_compile_scope', ''),
    ('npu_bridge.estimator.npu.npu_scope', 'keep_dtype_scope', ''),
    ('npu_bridge.estimator.npu.npu_plugin', 'is_inf_nan_enabled', ''),
    ('npu_bridge.estimator.npu.npu_plugin', 'npu_close', ''),
    ('npu_bridge.helper.helper', 'get_gen_ops', ''),
    ('hccl.manage.api', 'get_rank_size', f'group {WORLD}'),
    ('hccl.manage.api', 'get_rank_id', f'group {WORLD}'),
    ('hccl.manage.api', 'get_local_rank_size', f'group {WORLD}'),
    ('hccl.manage.api', 'get_local_rank_id', f'group {WORLD}'),
    ('hccl.manage.api', 'get_world_rank_from_group_rank', 'group - group_rank_id -'),
    ('hccl.manage.api', 'get_group_rank_from_world_rank', 'world_rank_id - group -'),
    ('hccl.manage.api', 'create_group', 'group - rank_num - rank_ids -'),
    ('hccl.manage.api', 'destroy_group', 'group -'),
    ('hccl.split.api', 'set_split_strategy_by_idx', f'idxList - group {WORLD}'),
    ('hccl.split.api', 'set_split_strategy_by_size', f'dataSizeList - group {WORLD}'),
]  # fmt: skip
RAW_OPS = [
    ('npu_alloc_float_status', ''),
    ('npu_get_float_status', 'input_float -'),
    ('npu_clear_float_status', 'float_status -'),
    ('npu_get_float_status_v2', ''),
    ('npu_clear_float_status_v2', ''),
]
KEYS = {
    'b': 'use_off_line enable_data_pre_proc hcom_parallel mix_compile_mode enable_dump enable_dump_debug '
    'profiling_mode hcom_multi_mode is_tailing_optimization',
    'i': 'iterations_per_loop graph_run_mode op_debug_level enable_exception_dump session_device_id',
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
    items = [p for p in inspect.signature(f).parameters.values() if p.name not in ('self', 'raw_name')]
    return ' '.join('{} {}'.format(p.name, '-' if p.default is p.empty else p.default) for p in items)
loop = util.IterationPerLoop()
print(json.dumps({
    'functions': [parameters(getattr(importlib.import_module(m), f)) for m, f, _ in json.loads(sys.argv[1])],
    'ops': {f: parameters(getattr(helper.get_gen_ops(), f)) for f in json.loads(sys.argv[2])},
    'loop': [parameters(loop.create_iteration_per_loop_var), parameters(loop.load_iteration_per_loop_var)],
    'placement': parameters(importlib.import_module('npu_bridge.estimator.npu.npu_scope').npu_variable_scope),
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
