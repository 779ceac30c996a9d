"""One rank of a few training steps with what is in them: tests/commands/test_ranks.py starts it,
once a rank.

    python rank_cases.py host|npu OUTPUT.npz

Rank and addresses come from the environment, as in train_loop.py. Writes the gradients on the same
batch for all ranks and on batch number RANK, and all variables after an overflow of rank 1 alone,
after a NaN of rank 1 alone and after a good step.
"""

import argparse
import os
import sys

import numpy as np
import tensorflow as tf

from hccl import collectives, launcher
from mobilenet import devices, ranks, train_step
from mobilenet import state as run_state
from mobilenet.devices import npu_options
from tests.helpers.steps import settings

SCALE = 1024.0


def batch(number):
    rng = np.random.RandomState(number)
    return rng.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32), rng.randint(0, 7, 4).astype(
        np.int32
    )


def main(device_name, output):
    parser = argparse.ArgumentParser()
    npu_options.add_flags(parser)
    args = parser.parse_args([])
    args.device, args.precision_mode = device_name, 'must_keep_origin_dtype'
    args.model_name, args.image_size, args.batch_size = 'mobilenet_v1_025', 32, 4
    args.kernels = 'onednn'
    rank, size, addresses = launcher.rank_of(os.environ)
    device = devices.create(args, addresses, rank)
    together = collectives.create(device_name, rank, size, addresses)

    tf.set_random_seed(100 + rank)  # the broadcast has to make the weights alike
    hp = settings(stop_on_nan=False, dynamic_loss_scale=True)
    state = run_state.create(SCALE, size)
    images, labels = tf.placeholder(tf.float32, [4, 32, 32, 3]), tf.placeholder(tf.int32, [4])
    step = train_step.build(images, labels, hp, state, device, together)
    broadcast = ranks.Broadcast(tf.global_variables(), state.counters, together)
    variables = {v.op.name: v for v in tf.global_variables()}
    initialize = [tf.global_variables_initializer(), tf.local_variables_initializer()]
    results = {}

    with device.session(1, size) as sess:

        def feed(number):
            return dict(zip((images, labels), batch(number)))

        def keep(case):
            results.update(
                {case + ' ' + name: value for name, value in sess.run(variables).items()}
            )

        def keep_gradients(case, number):
            gradients = sess.run(step.gradients, feed(number))
            results.update({case + ' ' + v.op.name: g for v, g in zip(step.variables, gradients)})

        sess.run(initialize)
        logits = variables['MobilenetV1/Logits/Conv2d_1c_1x1/weights']  # gradients that overflow
        logits.load(100 * sess.run(logits), sess)
        state.global_step.load(2**40 + 12345 - rank, sess)  # a counter that no float32 holds
        broadcast.run(sess)
        keep('start')
        keep_gradients('same', 0)
        keep_gradients('own', rank)
        if size == 1:
            keep_gradients('other', 1)

        state.loss_scale.load(3e38 if rank == 1 else SCALE, sess)
        sess.run(step.train_op, feed(rank))
        keep('overflow')
        state.loss_scale.load(SCALE, sess)
        bad = feed(rank)
        bad[images][2, 5, 5, 1] = np.nan if rank == 1 else 0
        sess.run(step.train_op, bad)
        keep('nan')
        sess.run(step.train_op, feed(rank))
        keep('good')
    np.savez(output, **results)


if __name__ == '__main__':
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # TensorFlow's servers do not end by themselves
