"""Evaluation's preprocessing as TensorFlow ops alone, for a graph that leaves this program."""

import tensorflow as tf

from data import augment, preprocess


def preprocessor(preprocessing_name):
    """A function (string scalar, size) -> float32 [size, size, 3] in [-1, 1] of an encoded JPEG or
    PNG: what an evaluation makes of it, but for the rounding of floats.
    """

    def run(encoded, size):
        image = tf.image.decode_jpeg(encoded, channels=3, fancy_upscaling=True)  # takes PNG as well
        shape = tf.shape(image)
        y, x, height, width = _window(preprocessing_name, shape[0], shape[1], size)
        image = tf.slice(image, [y, x, 0], [height, width, 3])
        resized = tf.image.resize_bilinear(image[None], [size, size])[0]
        return preprocess.normalize_float(resized)

    return run


def _window(name, height, width, size):
    """augment.plan's window without training, as int32 tensors."""
    if name == 'inception_v2':
        y, x = [
            tf.cast(
                (tf.cast(side, tf.float64) - tf.cast(side, tf.float64) * augment.CENTRAL_FRACTION)
                / 2,
                tf.int32,
            )
            for side in (height, width)
        ]
        return y, x, height - 2 * y, width - 2 * x
    if name == 'vgg':
        smaller = tf.minimum(height, width)
        share = size / int(round(size * 256 / 224))
        cut = tf.cast(tf.round(tf.cast(smaller, tf.float64) * share), tf.int32)
        cut = tf.clip_by_value(cut, 1, smaller)
        return (height - cut) // 2, (width - cut) // 2, cut, cut
    return 0, 0, height, width
