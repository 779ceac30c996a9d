"""A training step of this project, whole, bare or at the limit.

Modes: full (train_loop.py's step and loop, with all it has on by default, over one batch); single
(the same, a session.run a step); command (full, with train_loop.py's hooks; `bare N` runs steps of
the bare one, forward, backward and momentum, in the same process); checkpoint (a step is the
writing of one); relu (the bare step, with plain relu's gradient in relu6's place).
"""

import contextlib
import itertools
import os
import sys
import tempfile

import serving

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 3))

import one_batch

from mobilenet import devices
import train_loop

FLAGS = {'loss_scale': 'dynamic:1024', 'iterations_per_loop': 10}


def open_run(args, stack):
    """An open TrainingRun and its session."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    config, dataset = one_batch.configure(args, folder, **FLAGS)
    devices.import_tensorflow(config)
    from hccl import collectives
    from mobilenet.run import TrainingRun

    run = TrainingRun(
        config,
        dataset,
        one_batch.OneBatch(args.batch_size, args.image_size),
        devices.create(config),
        collectives.create('host', 0, 1, None),
        train_loop.make_hooks(config) if args.mode == 'command' else [],
    )
    return run, stack.enter_context(run.open())


def serve_run(args):
    with contextlib.ExitStack() as stack:
        run, sess = open_run(args, stack)
        numbers = itertools.count()

        def loops(n):
            for _ in range(n // 10):
                values = run.around_loop(10, lambda n: run.graph.loop.run(sess, n))
                run.advance(10, values, 1.0)

        run_steps = {
            'full': lambda n: run.graph.loop.run(sess, n),
            'single': lambda n: [run.graph.loop.run(sess, 1) for _ in range(n)],
            'command': loops,
            'checkpoint': lambda n: [run.checkpointer.save(sess, next(numbers)) for _ in range(n)],
        }[args.mode]
        others = {}
        if args.mode == 'command':
            others['bare'] = open_bare(args, run.device, stack)
        serving.serve(run_steps, others=others)


def open_bare(args, device, stack):
    """run_steps of a graph of its own: forward, backward and momentum of a batch that stays on the
    device.
    """
    import tensorflow as tf

    from mobilenet import nets
    from mobilenet.devices import host

    @tf.RegisterGradient('PlainRelu')
    def _plain_relu(op, grad):
        return tf.raw_ops.ReluGrad(gradients=grad, features=op.outputs[0])

    plain = args.mode == 'relu'
    override = {'Relu6': 'PlainRelu'} if plain else {}
    shape = [args.batch_size, args.image_size, args.image_size, 3]
    with tf.Graph().as_default() as graph:
        images = tf.Variable(tf.random.stateless_uniform(shape, [1, 2], -1, 1), trainable=False)
        with graph.gradient_override_map(override):
            network = nets.build(
                args.model_name,
                images,
                1000,
                training=True,
                gradients='stock' if plain else host.gradients(),
                block=host.block(),
            )
        labels = tf.range(args.batch_size) % 1000
        loss = tf.losses.sparse_softmax_cross_entropy(labels, network.logits)
        step = tf.train.MomentumOptimizer(0.01, 0.9).minimize(loss)
        sess = stack.enter_context(device.session(1, 1))
        sess.run(tf.global_variables_initializer())
    return lambda n: [sess.run(step) for _ in range(n)]


def serve_network(args):
    with tempfile.TemporaryDirectory() as folder:
        config, _ = one_batch.configure(args, folder, **FLAGS)
    devices.import_tensorflow(config)
    with contextlib.ExitStack() as stack:
        serving.serve(open_bare(args, devices.create(config), stack))


def main():
    runs = ('full', 'single', 'command', 'checkpoint')
    args = serving.arguments(*runs, 'relu')
    (serve_run if args.mode in runs else serve_network)(args)


main()
