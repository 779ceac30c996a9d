"""From encoded bytes to what the network takes.

Every kind of preprocessing is the same: decode a window, resize it bilinearly, mirror it, change
its colours. The window and the random numbers come from data/augment.py, so the kinds differ there.
The results are those of slim's preprocessing (tensorflow/models, research/slim/preprocessing),
except that vgg too gives -1..1 instead of subtracting ImageNet's mean colour: one range for every
network, and for images that travel as uint8.
"""

import numpy as np
import tensorflow as tf

from data.render import render


def normalize(images):
    """uint8 images (0..255) as float32 in -1..1. Float images are so already and pass through."""
    if images.dtype != tf.uint8:
        return images
    return normalize_float(tf.cast(images, tf.float32))


def normalize_float(pixels):
    """Float pixels of 0..255 in -1..1."""
    return pixels * (2.0 / 255.0) - 1.0


def decode(encoded, window):
    """uint8 [height, width, 3]: the window (y, x, height, width) of an encoded JPEG, or the whole
    of an encoded PNG, which this op takes for what it is.

    Of a JPEG, little more than the window is decoded. fancy_upscaling must stay True: without it
    TensorFlow 1.15's libjpeg crashes when it skips lines.
    """
    return tf.image.decode_and_crop_jpeg(encoded, window, channels=3, fancy_upscaling=True)


def finish(pixels, window, flip, colour, out):
    """What `decode` gave of a window, into `out` [size, size, 3]: float32 in -1..1 or uint8.

    colour: float32 [3] (see data/render.py) or None.
    """
    y, x, height, width = window.tolist()
    if pixels.shape[:2] != (height, width):  # a whole PNG
        pixels = np.ascontiguousarray(pixels[y : y + height, x : x + width])
    render(pixels, len(out), flip, colour, out=out)
