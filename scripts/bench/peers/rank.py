"""One rank of a training run over one batch, or of a bare all-reduce of its gradients.

Modes: ours (TensorFlow's collectives over gRPC, as train_loop.py), horovod (the same graph with
Horovod's, over gloo), alone (no other rank), allreduce (all gradients, nothing else), message (one
number). Which rank it is says the environment: the launcher's variables, or Horovod's.
"""

import contextlib
import os
import sys
import tempfile

import serving

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 3))

import one_batch

from hccl import collectives, launcher
from mobilenet import devices


def horovod_parts():
    """(device, collectives) of a rank of Horovod's."""
    import horovod.tensorflow as hvd

    from mobilenet.devices import host

    class Device(host.HostDevice):
        """Horovod's ranks are sessions of their own, not servers of TensorFlow's."""

        @contextlib.contextmanager
        def session(self, longest_loop, world_size):
            with super().session(longest_loop, 1) as sess:
                yield sess

    class Horovod(collectives.Collectives):
        """Horovod fuses small tensors by itself."""

        rank, size = hvd.rank(), hvd.size()

        def allreduce_mean(self, tensors):
            return [hvd.allreduce(t, op=hvd.Average) for t in tensors]

        def allreduce_sum_unfused(self, tensor):
            return hvd.allreduce(tensor, op=hvd.Sum)

        def broadcast(self, tensors):
            return [hvd.broadcast(t, 0) for t in tensors]

    return Device(inter_op=2), Horovod()


def parts(mode):
    """(device, or None for train_loop.py's own; collectives) of a mode."""
    from mobilenet.devices import host

    if mode == 'horovod':
        return horovod_parts()
    if mode == 'alone':
        return None, collectives.SingleRank()
    rank, size, addresses = launcher.rank_of(os.environ)
    device = host.HostDevice(addresses, rank, inter_op=2)
    return device, collectives.create('host', rank, size, addresses)


def serve_training(args, device, reducer, train_dir):
    from mobilenet.run import TrainingRun

    config, dataset = one_batch.configure(args, train_dir, reducer.size, kernels='onednn')
    pipeline = one_batch.OneBatch(args.batch_size, args.image_size, reducer.rank)
    device = device or devices.create(config)
    run = TrainingRun(config, dataset, pipeline, device, reducer, hooks=[])
    with run.open() as sess:
        serving.serve(lambda n: run.graph.loop.run(sess, n))


def serve_allreduce(args, device, reducer):
    import tensorflow as tf

    from mobilenet.weights import networks

    shapes = [[1]]
    if args.mode == 'allreduce':
        every = networks.variables_of(args.model_name)
        shapes = [shape for name, shape in every.items() if '/moving_' not in name]
    with tf.Graph().as_default():
        tensors = [tf.get_variable(f'v{i}', shape) for i, shape in enumerate(shapes)]
        step = tf.group(*reducer.allreduce_mean([t.read_value() for t in tensors]))
        initialize = tf.global_variables_initializer()
        size = sum(t.shape.num_elements() * 4 for t in tensors)
        with device.session(1, reducer.size) as sess:
            sess.run(initialize)
            serving.serve(lambda n: [sess.run(step) for _ in range(n)], {'bytes': size})


def main():
    args = serving.arguments('ours', 'horovod', 'alone', 'allreduce', 'message')
    devices.import_tensorflow()
    if args.mode == 'horovod':
        import horovod.tensorflow as hvd

        hvd.init()
    device, reducer = parts(args.mode)
    if args.mode in ('allreduce', 'message'):
        serve_allreduce(args, device, reducer)
    with tempfile.TemporaryDirectory() as train_dir:
        serve_training(args, device, reducer, train_dir)


main()
