"""From encoded bytes to what the network takes: the TensorFlow part, for one image at a time.

Every kind of preprocessing is the same graph: decode a window, resize it bilinearly, mirror it, change its colours. The
window and the random numbers come from data/augment.py. The results are those of slim's preprocessing
(tensorflow/models, research/slim/preprocessing), except that vgg too gives -1..1 instead of subtracting ImageNet's mean
colour: one range for every network, and for images that travel as uint8.
"""

import tensorflow as tf


def normalize(images):
    """uint8 images (0..255) as float32 in -1..1. Float images are normalized already and pass through."""
    if images.dtype != tf.uint8:
        return images
    return tf.cast(images, tf.float32) * (2.0 / 255.0) - 1.0


def decode_window(encoded, is_png, window):
    """uint8 [height, width, 3] of the window (y, x, height, width) of an encoded JPEG or PNG.

    Of a JPEG, little more than the window is decoded. fancy_upscaling must stay True: without it TensorFlow 1.15's
    libjpeg crashes when it skips lines.
    """
    def png():
        image = tf.image.decode_png(encoded, channels=3)
        return tf.slice(image, tf.concat([window[:2], [0]], 0), tf.concat([window[2:], [3]], 0))

    def jpeg():
        return tf.image.decode_and_crop_jpeg(encoded, window, channels=3, fancy_upscaling=True)

    image = tf.cond(is_png, png, jpeg)
    image.set_shape([None, None, 3])
    return image


def resize(image, size):
    """float32 [size, size, 3], bilinear without corner alignment, as tf.image.resize_images in TensorFlow 1."""
    return tf.image.resize_bilinear(image[None], [size, size])[0]


def mirror(image, flip):
    """The image, reversed left to right where `flip`."""
    return tf.cond(flip, lambda: tf.reverse(image, [1]), lambda: image)


def distort_colours(image, colour):
    """Brightness and saturation of a float image [h, w, 3] in 0..255, in either order; clipped to 0..255.

    colour: float32 [3]: brightness delta (of a range of 1), saturation factor, 1 where brightness comes first.

    Saturation in HSV, as tf.image.adjust_saturation: with v the largest and m the smallest of r, g, b, it moves each
    channel c to v - (v - c) * min(factor, v / (v - m)). Brightness adds to v, m and c alike.
    """
    delta, factor, brightness_first = colour[0] * 255.0, colour[1], colour[2]
    largest = tf.reduce_max(image, -1, keepdims=True)
    smallest = tf.reduce_min(image, -1, keepdims=True)
    limit = (largest + delta * brightness_first) / (largest - smallest + 1e-6)
    scale = tf.minimum(factor, limit)
    return tf.clip_by_value(image * scale + (largest - largest * scale + delta), 0.0, 255.0)


def finish(image, normalize_on):
    """A float image in 0..255 as float32 in -1..1 ('host') or rounded to uint8 ('device')."""
    if normalize_on == 'device':
        return tf.cast(image + 0.5, tf.uint8)
    return image * (2.0 / 255.0) - 1.0
