"""A training step, or the evaluation of a folder, as TF-slim's scripts make it; TensorFlow 1.15.

Modes: train (L2, momentum, batch norm updates, an EMA of 0.9999), pipeline. With the oneDNN build
it has the threads that suit it best.
"""

import os

os.environ.setdefault('OMP_NUM_THREADS', str(len(os.sched_getaffinity(0))))
os.environ.setdefault('KMP_BLOCKTIME', '0')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import photograph_pipeline
import serving
import slim_networks
import tensorflow as tf


def train_op(logits, batch_size):
    labels = tf.one_hot(tf.range(batch_size) % 1000, 1000)
    tf.losses.softmax_cross_entropy(labels, logits, label_smoothing=0.1)
    step = tf.train.get_or_create_global_step()
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    average = tf.train.ExponentialMovingAverage(0.9999, step)
    moving = tf.contrib.slim.get_model_variables()
    optimizer = tf.train.MomentumOptimizer(0.01, 0.9)
    updates.append(optimizer.minimize(tf.losses.get_total_loss(), global_step=step))
    with tf.control_dependencies(updates):
        return average.apply(moving)


def main():
    args = serving.arguments('train', 'pipeline')
    training = args.mode == 'train'
    if training:
        shape = [args.batch_size, args.image_size, args.image_size, 3]
        images = tf.Variable(tf.random.stateless_uniform(shape, [1, 2], -1, 1), trainable=False)
    else:
        threads = len(os.sched_getaffinity(0))
        found = photograph_pipeline.images(args.images, args.batch_size, args.image_size, threads)
        images = tf.compat.v1.data.make_one_shot_iterator(found).get_next()
    logits = slim_networks.logits(args.model_name, images, training)
    step = train_op(logits, args.batch_size) if training else logits.op
    # Beside the network's ops the input's get a thread of their own.
    config = tf.ConfigProto(inter_op_parallelism_threads=1 if training else 2)
    with tf.Session(config=config) as sess:
        sess.run(tf.global_variables_initializer())
        serving.serve(lambda n: [sess.run(step) for _ in range(n)])


main()
