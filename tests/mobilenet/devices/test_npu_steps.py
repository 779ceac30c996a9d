"""The training step on the simulated NPU: overflow in both modes, the host's bits, precision."""

import re

import pytest

from tests.mobilenet.devices.test_npu_sim import passes


def check_steps(good, bad, after, report, scale=512):
    """A good step moves all, a bad one only the loss scale and its counts, then it goes on."""
    assert len(good) > 70 and bad == ['good_steps', 'loss_scale', 'skipped_steps']
    assert set(after) == set(good)
    assert (report['global_step'], report['skipped_steps'], report['loss_scale']) == (3, 1, scale)


def test_overflow_skips_in_both_modes_with_both_kinds_of_status_ops():
    """And all that follows has the host's bits: weights, slots, averages, counters; dropout."""
    results = passes('overflow')
    assert len(results) == 4
    for steps, report, differing in results.values():
        check_steps(*steps, report)
        assert differing == []


def test_overflow_of_float16_alone():
    for steps, report in passes('overflow_of_float16'):
        check_steps(*steps, report, scale=2)


def test_any_op_that_is_not_on_the_list_is_named():
    """All op types of the steps of V1, V2 and V3, each taken off the list."""
    for network, said in passes('op_check').items():
        assert said.pop('none') == []
        (unknown,), (allowed,) = said.pop('no list'), said.pop('allowed')
        assert 'not known' in unknown and 'ASCEND_OPP_PATH (/no/such)' in unknown
        assert allowed.startswith('op check: Relu6 (') and '(--allow_host_ops)' in allowed
        silent = {kind for kind, text in said.items() if text == []}
        assert silent == {'Const', 'IteratorV2', 'IteratorGetNext'}  # the adapter takes them apart
        refused = {kind: text for kind, text in said.items() if text}
        assert len(refused) > 50 and {'Conv2D', 'Relu6', 'Floor', 'NoOp'} <= set(refused), network
        for kind, text in refused.items():
            assert f': {kind} (' in text and '--allow_host_ops' in text, (network, text)
            assert 'once a loop' in text
        # The layer and the line that made it.
        assert re.search(r', such as \S+, mobilenet/nets/\w+.py:\d+\)', refused['Relu6'])


def test_an_op_on_the_host_runs_once_a_loop():
    """The second step of a loop has the first one's mask; a loop of one step has its own."""
    in_one_loop, in_two = passes('ops_on_the_host')
    assert 'MobilenetV1/Logits/Conv2d_1c_1x1/weights' in in_one_loop and in_two == []


def test_force_fp16_leaves_schedule_averages_and_counters_in_float32():
    on_host, on_npu, unprotected = passes('force_fp16')
    for seen in (on_host, on_npu):
        assert (seen['global_step'], seen['good_steps'], seen['loss_scale']) == (70001, 1, 1)
        assert seen['moved'] > 0 and seen['error'] < 1e-6
        # Polynomial from 0.1 to 0.001, halfway.
        assert seen['rate'] == pytest.approx(0.0505, rel=1e-4)
    assert on_npu['loss'] == pytest.approx(on_host['loss'], rel=0.02)
    assert on_npu['loss'] != on_host['loss']
    # What it would be otherwise: 70,000 is too much for float16, and the schedule goes by it.
    assert unprotected['rate'] != pytest.approx(0.0505, rel=1e-2) or unprotected['error'] > 1e-6
