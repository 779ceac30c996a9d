"""Programs for tests/mobilenet/devices/test_npu_steps.py: the training step."""

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


def overflow():
    """In every mode, with both kinds of status ops: what changed in the steps, the loop's report,
    and which variables have not the host's bits at the end."""
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
    """Each op type of the step taken off the list: {type: what is said}; and on the whole list."""
    folder = tempfile.mkdtemp()
    with open(settings.own_list()) as f:
        listed = json.load(f)
    with tf.Graph().as_default():
        device = npu_steps.device()
        npu_steps.Steps(device, npu_steps.settings(dropout=True), SingleRank())
        graph = tf.get_default_graph()
        needed = ['IterationOp'] + [t.op.name for t in tf.nest.flatten(device._loop.values)]
        step = tf.graph_util.extract_sub_graph(graph.as_graph_def(), needed)
        types = {node.op for node in step.node}
        said = {}
        os.environ['ASCEND_OPP_PATH'] = folder
        for absent in [None] + sorted(types):
            with open(os.path.join(folder, 'npu_supported_ops.json'), 'w') as f:
                json.dump({k: v for k, v in listed.items() if k != absent}, f)
            try:
                said[str(absent)] = device.check_graph()
            except UsageError as error:
                said[str(absent)] = str(error)
        with open(os.path.join(folder, 'npu_supported_ops.json'), 'w') as f:
            json.dump({k: v for k, v in listed.items() if k not in ('Cos', 'Relu6')}, f)
        device.options = device.options._replace(allow_host_ops=True)
        said['allowed'] = device.check_graph()
        os.environ['ASCEND_OPP_PATH'] = '/no/such'
        said['no list'] = device.check_graph()
    report(said)


def force_fp16():
    """At global step 70,000 in force_fp16: rate, counters and averages after two steps."""
    hp = npu_steps.settings(
        learning_rate_decay_type='polynomial', total_steps=140000, moving_average_decay=0.9999
    )
    results = []
    for device in (host.HostDevice(), npu_steps.device('force_fp16')):
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
