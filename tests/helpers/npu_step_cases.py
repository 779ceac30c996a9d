"""Programs for tests/mobilenet/devices/test_npu_steps.py: the training step."""

import contextlib
import json
import os
import tempfile

from npu_bridge.sim import settings
import numpy as np
import tensorflow as tf

from hccl.collectives import SingleRank
from mobilenet.devices import host
from mobilenet.errors import UsageError
from tests.helpers import npu_steps
from tests.helpers.npu_cases_common import report
from tests.helpers.short_networks import shortened


def overflow():
    """In every mode, with both kinds of status ops: what changed in the steps, the loop's report,
    and which variables have not the host's bits at the end."""
    npu_steps.shorten_v1()
    hp = npu_steps.settings(dropout=True)
    with tf.Graph().as_default(), npu_steps.Steps(host.HostDevice(), hp, SingleRank()) as run:
        run.run(4)
        on_host = run.read()
    results = {}
    for mode, adapter in npu_steps.MODES:
        npu_steps.choose(mode, adapter)
        with tf.Graph().as_default():
            with npu_steps.Steps(npu_steps.device(), hp, SingleRank()) as run:
                steps, loop = npu_steps.around_the_bad_step(run)
                differing = npu_steps.changed(on_host, run.read())
        results[f'{mode} {adapter}'] = [steps, loop, differing]
    report(results)


def overflow_of_float16():
    """Images that are too bright for float16: relu6 hides it on a saturating device."""
    npu_steps.shorten_v1()
    results = []
    for mode in ('saturate', 'inf_nan'):
        npu_steps.choose(mode, 'new')
        device = npu_steps.device('allow_mix_precision')
        with tf.Graph().as_default():
            hp = npu_steps.settings()
            with npu_steps.Steps(device, hp, SingleRank(), factor=1e6, scale=4.0) as run:
                results.append(npu_steps.around_the_bad_step(run))
    report(results)


def op_check():
    """{network: {type: what is said with each op type of the step taken off the list}}; of V1 also
    what is said on the whole list, with ops allowed, and without a list.
    """
    with shortened():
        report({name: _op_check(name) for name in ('mobilenet_v1_025', *npu_steps.OTHER_NETWORKS)})


def _op_check(model_name):
    folder = tempfile.mkdtemp()
    with open(settings.own_list()) as f:
        listed = json.load(f)

    def said_without(*absent):
        with open(os.path.join(folder, 'npu_supported_ops.json'), 'w') as f:
            json.dump({k: v for k, v in listed.items() if k not in absent}, f)
        try:
            return device.check_graph(run.step)
        except UsageError as error:
            return str(error)

    with tf.Graph().as_default() as graph:
        device = npu_steps.device()
        hp = npu_steps.settings(dropout=True, model_name=model_name)
        run = npu_steps.Steps(device, hp, SingleRank())
        needed = ['IterationOp'] + [t.op.name for t in tf.nest.flatten(device._loop.values)]
        step = tf.graph_util.extract_sub_graph(graph.as_graph_def(), needed)
        os.environ['ASCEND_OPP_PATH'] = folder
        said = {kind: said_without(kind) for kind in sorted({node.op for node in step.node})}
        said['none'] = said_without()
        device.options = device.options._replace(allow_host_ops=True)
        said['allowed'] = said_without('Cos', 'Relu6')
        os.environ['ASCEND_OPP_PATH'] = '/no/such'
        said['no list'] = device.check_graph(run.step)
    return said


def ops_on_the_host():
    """Floor, of dropout's masks alone, off the list: variables that differ from those of a run on
    the whole list, after two steps in one loop and in two.
    """
    folder = tempfile.mkdtemp()
    with open(settings.own_list()) as f:
        listed = json.load(f)
    path = os.path.join(folder, settings.OPS_LIST)
    os.makedirs(os.path.dirname(path))
    with open(path, 'w') as f:
        json.dump({k: v for k, v in listed.items() if k != 'Floor'}, f)
    npu_steps.shorten_v1()
    whole = _trained([2])
    os.environ['ASCEND_OPP_PATH'] = folder
    report([npu_steps.changed(whole, _trained(loops)) for loops in ([2], [1, 1])])


def _trained(loops):
    with tf.Graph().as_default():
        hp = npu_steps.settings(dropout=True)
        with npu_steps.Steps(npu_steps.device(), hp, SingleRank(), factor=1.0) as run:
            for n in loops:
                run.run(n)
            return run.read()


def force_fp16():
    """At global step 70,000 in force_fp16, without and with what protects them: rate, counters and
    averages after a step.
    """
    npu_steps.shorten_v1()
    hp = npu_steps.settings(
        learning_rate_decay_type='polynomial', total_steps=140000, moving_average_decay=0.9999
    )
    results = []
    unprotected = npu_steps.device('force_fp16')
    unprotected.keep_dtype = contextlib.nullcontext
    for device in (host.HostDevice(), npu_steps.device('force_fp16'), unprotected):
        with tf.Graph().as_default():
            with npu_steps.Steps(device, hp, SingleRank(), factor=1.0, scale=1.0) as run:
                step = run.variables['global_step']
                run.sess.run(step.initializer, {step.initializer.inputs[1]: 70000})
                before = run.read()
                values = run.run(1)
                after = run.read()
        weights = 'MobilenetV1/Conv2d_0/weights'
        average = weights + '/ExponentialMovingAverage'
        moved = after[average].astype(np.float64) - before[average]
        # With float32 the average moves by 1e-4 of the distance, whatever the gradient was.
        decay = min(0.9999, 70001.0 / 70010.0)
        wanted = (1 - decay) * (after[weights].astype(np.float64) - before[average])
        results.append(
            {
                'global_step': int(after['global_step']),
                'good_steps': int(after['good_steps']),
                'loss_scale': float(after['loss_scale']),
                'moved': float(np.abs(moved).max()),
                'error': float(np.abs(moved - wanted).max()),
                # momentum's first step: accum = g, w -= rate * g
                'rate': float(
                    np.median(
                        (before[weights] - after[weights]).astype(np.float64)
                        / after[weights + '/Momentum']
                    )
                ),
                'loss': float(values['loss_sum']),
            }
        )
    report(results)
