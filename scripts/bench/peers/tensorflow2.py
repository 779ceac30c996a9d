"""A training step, or the evaluation of a folder, by tf.keras.applications' MobileNets in
TensorFlow 2.

Modes: train, pipeline.
"""

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import photograph_pipeline
import serving
import tensorflow as tf


def network(name, size):
    applications = tf.keras.applications
    shape, more = (size, size, 3), {}
    if name == 'mobilenet_v3_large':
        more = {'include_preprocessing': False}
    build = {
        'mobilenet_v1': applications.MobileNet,
        'mobilenet_v2': applications.MobileNetV2,
        'mobilenet_v3_large': applications.MobileNetV3Large,
    }[name]
    return build(input_shape=shape, weights=None, classes=1000, classifier_activation=None, **more)


def serve_training(args, model):
    shape = [args.batch_size, args.image_size, args.image_size, 3]
    images = tf.random.stateless_uniform(shape, [1, 2], -1, 1)
    labels = tf.one_hot(tf.range(args.batch_size) % 1000, 1000)
    loss = tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    optimizer = tf.keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=4e-5)

    @tf.function
    def train():
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return value

    serving.serve(lambda n: [train().numpy() for _ in range(n)])


def serve_evaluation(args, model):
    found = photograph_pipeline.images(
        args.images, args.batch_size, args.image_size, len(os.sched_getaffinity(0))
    )
    stream = iter(found)
    forward = tf.function(lambda images: model(images, training=False))
    serving.serve(lambda n: [forward(next(stream)).numpy() for _ in range(n)])


def main():
    args = serving.arguments('train', 'pipeline')
    model = network(args.model_name, args.image_size)
    (serve_training if args.mode == 'train' else serve_evaluation)(args, model)


main()
