#!/usr/bin/env python
"""Times a MobileNetV1 training step with each way to compute the gradient of relu6.

The candidates run in turns (one step each, over and over), so that other load on the machine meets
them alike; the figure of each is its median step. All but `relu_grad` give the bits of Relu6Grad,
which is checked first; `relu_grad` forgets the bound at 6 and shows what is left to gain. `stock`
is TensorFlow's op Relu6Grad, by our own kernel (mobilenet/native) or with --kernel=onednn by
oneDNN's. The last lines are `ratio NAME VALUE`: images/s of NAME over those of `stock`.
"""

import argparse
import os
import sys
import time

os.environ.setdefault('OMP_NUM_THREADS', str(os.cpu_count()))
os.environ.setdefault('KMP_BLOCKTIME', '0')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import gen_nn_ops

from mobilenet import flag_types, native, nets
from mobilenet.nets import onednn
from scripts import tool


def stock(grad, outputs):
    return gen_nn_ops.relu6_grad(grad, outputs)


def masked(grad, outputs):
    return grad * tf.cast(tf.logical_and(outputs > 0, outputs < 6), grad.dtype)


def where(grad, outputs):
    inside = tf.logical_and(outputs > 0, outputs < 6)
    return tf.compat.v2.where(inside, grad, tf.zeros_like(grad))


def relu_grad_twice(grad, outputs):
    return gen_nn_ops.relu_grad(gen_nn_ops.relu_grad(grad, outputs), 6 - outputs)


def relu_grad_upper_first(grad, outputs):
    return gen_nn_ops.relu_grad(gen_nn_ops.relu_grad(grad, 6 - outputs), outputs)


def relu_grad_of_minimum(grad, outputs):
    return gen_nn_ops.relu_grad(grad, tf.minimum(outputs, 6 - outputs))


def composed(grad, outputs):
    """What the networks train with where our kernel is not compiled."""
    return onednn.relu6_grad(grad, outputs)


def relu_grad(grad, outputs):
    return gen_nn_ops.relu_grad(grad, outputs)


CANDIDATES = (
    stock,
    masked,
    where,
    relu_grad_twice,
    relu_grad_upper_first,
    relu_grad_of_minimum,
    composed,
    relu_grad,
)


def register(candidate):
    name = 'BenchRelu6_' + candidate.__name__
    tf.RegisterGradient(name)(lambda op, grad: candidate(grad, op.outputs[0]))
    return name


def check_equal(candidate):
    """Exits with an error unless the candidate gives Relu6Grad's values on the borders too."""
    special = [
        0,
        6,
        np.nextafter(np.float32(0), np.float32(1)),
        np.nextafter(np.float32(6), np.float32(0)),
        1e-30,
        3,
        5.5,
        0.1,
    ]
    outputs = np.tile(np.float32(special), [1, 4, 4, 1])
    grad = np.random.RandomState(0).randn(*outputs.shape).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        dy, y = [tf.placeholder(tf.float32, outputs.shape) for _ in range(2)]
        feed = {dy: grad, y: outputs}
        got, wanted = session.run([candidate(dy, y), stock(dy, y)], feed)
    if not np.array_equal(got, wanted):
        raise SystemExit(f'{candidate.__name__} differs from Relu6Grad')


def make_step(candidate, args):
    """A function that runs one training step with this candidate in a session of its own."""
    graph = tf.Graph()
    with graph.as_default(), graph.gradient_override_map({'Relu6': register(candidate)}):
        shape = [args.batch_size, args.image_size, args.image_size, 3]
        images = tf.Variable(tf.random.stateless_uniform(shape, [1, 2], -1, 1), trainable=False)
        labels = tf.zeros([args.batch_size], tf.int32)
        network = nets.build(args.model_name, images, 1000, training=True, gradients='stock')
        loss = tf.losses.sparse_softmax_cross_entropy(labels, network.logits)
        train_op = tf.train.MomentumOptimizer(0.01, 0.9).minimize(loss)
        config = tf.ConfigProto(inter_op_parallelism_threads=2)
        session = tf.Session(config=config)
        session.run(tf.global_variables_initializer())
    return lambda: session.run(train_op)


def arguments():
    parser = flag_types.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model_name', default='mobilenet_v1', choices=nets.MODEL_NAMES)
    parser.add_argument('--batch_size', type=flag_types.count(), default=32)
    parser.add_argument('--image_size', type=flag_types.count(), default=224)
    parser.add_argument(
        '--rounds', type=flag_types.count(), default=5, help='steps of each candidate'
    )
    parser.add_argument(
        '--candidates',
        nargs='+',
        choices=[c.__name__ for c in CANDIDATES],
        default=[c.__name__ for c in CANDIDATES],
    )
    parser.add_argument(
        '--kernel',
        choices=('ours', 'onednn'),
        default='ours',
        help='that `stock` runs by (default: %(default)s)',
    )
    args = parser.parse_args()
    if args.kernel == 'ours' and not native.load():
        parser.error(
            'our kernel is not compiled: run `python -m mobilenet.native`, or --kernel=onednn'
        )
    return args


def main():
    args = arguments()
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)  # deprecations
    candidates = [c for c in CANDIDATES if c is stock or c.__name__ in args.candidates]
    for candidate in candidates:
        if candidate is not relu_grad:
            check_equal(candidate)
    steps = [make_step(candidate, args) for candidate in candidates]
    seconds = [[] for _ in candidates]
    for round_index in range(args.rounds + 1):
        for step, times in zip(steps, seconds):
            start = time.perf_counter()
            step()
            if round_index:  # the first step also plans the graph
                times.append(time.perf_counter() - start)
    medians = [np.median(times) for times in seconds]
    for candidate, median in zip(candidates, medians):
        print(f'{candidate.__name__:<24} {args.batch_size / median:6.2f} images/s')
    for candidate, median in zip(candidates, medians):
        if candidate is not stock:
            print(f'ratio {candidate.__name__} {medians[0] / median:.3f}')


if __name__ == '__main__':
    tool.run(main)
