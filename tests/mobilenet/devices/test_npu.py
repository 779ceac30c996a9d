"""mobilenet/devices/npu.py on the simulated NPU."""

import subprocess
import sys

from tests.helpers import npu_case_server
from tests.mobilenet.devices.test_npu_sim import passes


def test_sunk_training_has_the_bits_of_single_runs():
    seen = passes('device_trains')
    assert seen['reports'] == [7, 14, 20]
    # The last: weights after one step are others, so that the comparison means something.
    assert seen['equal'] == [True, True, False]


def test_short_loops():
    counts, refused, zero = passes('short_loop_first')
    assert counts == [3, 13, 14, 15, 2]
    assert 'a loop of 11 steps in a session configured for 1 to 10' in refused
    assert zero.startswith('ValueError')


def test_one_iteration_is_not_sunk():
    assert passes('unsunk_loop') == [1, 2, 3]


def test_wrong_steps():
    tensor, second = passes('wrong_steps')
    assert tensor.startswith('TypeError') and 'tf.Operation' in tensor
    assert 'a second one would be named IterationOp_1' in second


def test_ranks_of_the_environment_that_are_not_there():
    refused, opened = passes('other_ranks')
    assert refused.startswith('UsageError') and 'RANK_SIZE=2 in the environment' in refused
    assert opened == 3


def test_overflow_skips_one_step():
    assert passes('device_overflow') == [4, 1]


def test_session_config():
    seen = passes('device_config')
    assert seen['name'] == 'NpuOptimizer' and seen['soft'] and seen['off'] == [True, True]
    assert seen['parameters'] == {
        'use_off_line': True,
        'enable_data_pre_proc': True,
        'iterations_per_loop': 100,
        'graph_run_mode': 1,
        'precision_mode': 'allow_mix_precision',
        'hcom_parallel': True,
        'enable_dump': True,
        'dump_path': '/tmp',
        'dump_step': '0|5',
        'session_device_id': 3,
    }
    assert seen['plain'] == 'allow_mix_precision'


def test_available_is_whether_the_adapter_is_on_the_path():
    code = (
        'import sys; from mobilenet.devices import npu; first = npu.available(); '
        'sys.path[:] = [p for p in sys.path if not p.endswith("npu_sim")]; '
        'print(first, npu.available(), "npu_bridge" in sys.modules)'
    )
    out = subprocess.check_output(
        [sys.executable, '-W', 'ignore', '-c', code],
        env=npu_case_server.environment(),
        universal_newlines=True,
    )
    assert out.split() == ['True', 'False', 'False']
