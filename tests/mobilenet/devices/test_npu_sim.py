"""The simulated NPU: it runs what the adapter runs, and refuses what it refuses."""

import json
import math

import pytest

from tests.helpers import npu_case_server


def passes(case):
    result = npu_case_server.run(case)
    assert result.status == 0, result.err
    return json.loads(result.out)


def test_loop_runs_n_iterations_and_gives_the_last_values():
    # [count, sum of batch numbers, last batch number]: 0..4, 5..9, then 10, 11, 12.
    assert passes('loops_run') == [[5, 10, 4], [10, 45, 9], [13, 78, 12]]


def test_iteration_op_is_found_by_name():
    assert passes('loop_by_name') == [3, 3, 2]


def test_set_iteration_per_loop():
    assert passes('set_iteration_per_loop') == [4, 'IterationOp', True]


def test_variables_of_the_loop():
    assert passes('variables_of_the_loop') == [
        ['npu_runconfig/' + name, 'int64']
        for name in ('iterations_per_loop', 'loop_cond', 'one', 'zero')
    ]


def test_data_may_end_inside_a_loop():
    assert passes('end_of_data_inside_a_loop') == 'OutOfRange'


def test_train_op_must_be_an_operation():
    assert passes('tensor_as_train_op') == "train_op is a 'float32', and must be an Operation"


def test_one_shot_iterator_runs_unsunk():
    assert passes('one_shot_alone') == [[1, 0, 0]]


def test_while_loop_without_get_next():
    assert passes('while_without_get_next') == 3


def test_global_step_as_the_adapter_looks_for_it():
    assert 'does not have integer type' in passes('global_step_not_in_its_collection')


@pytest.mark.parametrize('case', ['every_key', 'no_npu_optimizer'])
def test_configuration_is_taken(case):
    assert passes(case) == 1


def test_what_the_adapter_does_not_check():
    result = npu_case_server.run('taken_in_silence')
    assert (result.status, result.out.split()) == (0, ['1'] * 4), result.err


def test_an_op_that_is_not_on_the_list_runs_once_a_loop():
    listed, unlisted = passes('once_a_loop')
    assert listed == pytest.approx(sum(math.cos(i) for i in range(4)))
    assert unlisted == pytest.approx(4 * math.cos(0))


def test_an_op_behind_the_input_that_is_not_on_the_list():
    assert 'Retval[0] does not have value' in passes('op_behind_the_input_not_on_the_list')


def test_variables_are_read_when_the_reader_runs():
    # In the third of three steps the count goes from 2 to 3.
    assert passes('late_reads') == [13, 2, 3, 3]


def test_errors_of_the_first_run():
    raised = passes('errors_of_a_run')
    assert 'precision_mode should be one of' in raised['precision_mode']
    assert 'dump_path must be set' in raised['no dump_path']
    assert '/no/such/folder is not directory' in raised['dump_path']
    assert 'style is error' in raised['dump_step']
    assert 'first step is >= second step' in raised['falling']
    assert '<= 100 sets' in raised['sets']


REFUSED = [
    ('one_shot_sunk', 'OneShotIterator'),
    ('wrapper_in_a_scope', 'train/IterationOp would not be sunk'),
    ('two_wrappers', 'only one IterationOp'),
    ('loaded_other_than_configured', '4 iterations loaded, and iterations_per_loop is 5'),
    ('reloaded_above_configured', '6 iterations loaded, more than the 5'),
    ('not_loaded', 'before the number of iterations was loaded'),
    ('overwritten_after_load', 'overwritten since'),
    ('fed_while_sunk', 'takes no feeds'),
    ('iterator_initialised_again', 'IteratorV2 is initialised again'),
    ('last_batch_shorter', 'dynamic shape (?,): batch with drop_remainder'),
    ('dynamic_inside', 'has the dynamic shape (?,'),
    ('while_around_get_next', 'inside the while loop'),
    ('graph_run_mode_2', 'graph_run_mode value must be 0 or 1'),
    ('no_iterations', 'iterations_per_loop must be positive'),
    ('wrong_implmode', 'op select impl mode'),
    ('negative_device', 'session_device_id must be nonnegative'),
    ('wrong_dump_mode', 'dump_mode should be one of'),
    ('remapping_on', 'remapping must be OFF'),
    ('memory_optimization_on', 'memory_optimization must be OFF'),
    ('collective_off_the_npu', 'HcomAllReduce runs in a session without NpuOptimizer'),
]


@pytest.mark.parametrize('case,reason', REFUSED, ids=[case for case, _ in REFUSED])
def test_refusal_ends_the_process(case, reason):
    result = npu_case_server.run(case)
    assert (result.status, reason in result.err) == (134, True), result.err


def test_wrong_collectives_are_refused_when_built():
    refused = passes('wrong_collectives')
    for dtype in ('int64', 'bool', 'float64'):
        assert refused[dtype].startswith('TypeError') and dtype in refused[dtype]
    assert 'TypeError: Expected list' in refused['no_list']
    assert '"min", "max", "prod", "sum"' in refused['mean']
    assert all(refused.values()), refused


def test_one_rank_needs_no_cluster():
    seen = passes('one_rank')
    assert all('HCCL is not initialized' in text for text in seen['before'] + seen['after'])
    assert seen['during'][:4] == [1, 0, 1, 1]
    assert 'no such ranks' in seen['during'][4] and 'does not exist' in seen['during'][5]
    assert seen['values'] == [[1.0, 2.0]] * 3


def test_scopes_mark_their_ops():
    assert passes('scopes') == [1, True]


def test_float_status():
    # [float32 product, float16 product] is finite.
    assert passes('float_status') == {
        'finite': [True, True],
        'inf': [False, False],
        'nan': [False, False],
        'overflow': [False, False],
        'float16': [True, False],
        'finite again': [True, True],
    }


def test_float_status_stays_until_it_is_cleared():
    # NaN in the second run; the third sees it still; the fourth clears it, and sees it.
    assert passes('register_stays_without_clear') == [True, False, False, False, True]
