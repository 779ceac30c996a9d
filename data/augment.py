"""The random numbers of augmentation, and the windows made of them.

Every number is a hash of (seed, epoch, record, draw): no state, so threads, ranks and a resume
cannot change it. The crop takes the steps of the kernel of
tf.image.sample_distorted_bounding_box
(tensorflow/core/kernels/sample_distorted_bounding_box_op.cc) that do something where a window may
be as large as the image, so it has the same distribution; the colours are those of slim's fast
inception preprocessing (slim/preprocessing/inception_preprocessing.py, distort_color with
fast_mode).

A window is (y, x, height, width) in pixels of the image as it is stored.
"""

import math

import numpy as np

from data.compiled import compiled

ASPECT_RATIO_RANGE = (0.75, 1.33)
MIN_AREA = 0.05  # the largest is the whole image's
MIN_OBJECT_COVERED = 0.1
MAX_ATTEMPTS = 100
MAX_BRIGHTNESS_DELTA = 32.0 / 255.0
SATURATION_RANGE = (0.5, 1.5)
CENTRAL_FRACTION = 0.875

# Which number of a record is used for what. Crop attempt a takes the 4 numbers from CROP + 4 * a
# on.
FLIP, BRIGHTNESS, SATURATION, ORDER, SIDE, TOP, LEFT, CROP = range(8)

u64 = np.uint64
GOLDEN = u64(0x9E3779B97F4A7C15)
WHOLE_IMAGE = np.array([[0, 0, 1, 1]], np.float32)


@compiled
def mix(x):
    """The finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable PRNGs, 2014)."""
    x = (x ^ (x >> u64(30))) * u64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> u64(27))) * u64(0x94D049BB133111EB)
    return x ^ (x >> u64(31))


@compiled
def key_of(seed, epoch, record):
    """uint64 that stands for one showing of one record."""
    key = mix(u64(seed) + GOLDEN)
    key = mix(key ^ mix(u64(epoch) * GOLDEN + u64(1)))
    return mix(key ^ mix(u64(record) * GOLDEN + u64(2)))


@compiled
def uniform(key, draw):
    """float64 in [0, 1): number `draw` of a key."""
    return (mix(key + (u64(draw) + u64(1)) * GOLDEN) >> u64(11)) * (1.0 / (1 << 53))


@compiled
def below(key, draw, limit):
    """A whole number in [0, limit); 0 where the limit is 0."""
    return int(uniform(key, draw) * limit)


@compiled
def covers_an_object(y, x, height, width, boxes, image_height, image_width):
    """Whether the window shows enough of some box (ymin, xmin, ymax, xmax in 0..1)."""
    for i in range(len(boxes)):
        ymin = int(min(max(boxes[i, 0], 0.0), 1.0) * image_height)
        xmin = int(min(max(boxes[i, 1], 0.0), 1.0) * image_width)
        ymax = int(min(max(boxes[i, 2], 0.0), 1.0) * image_height)
        xmax = int(min(max(boxes[i, 3], 0.0), 1.0) * image_width)
        area = (ymax - ymin) * (xmax - xmin)
        if area < 1:
            continue
        rows = max(min(y + height, ymax) - max(y, ymin), 0)
        columns = max(min(x + width, xmax) - max(x, xmin), 0)
        if rows * columns >= MIN_OBJECT_COVERED * area:
            return True
    return False


@compiled
def distorted_crop(key, image_height, image_width, boxes):
    """A random window of 5 to 100 % of the area, aspect 3/4 to 4/3, that shows at least 10 % of
    some box.

    boxes: float32 [m, 4], m >= 1. Returns (y, x, height, width); the whole image where 100 attempts
    fail.
    """
    min_area = MIN_AREA * (image_height * image_width)
    low, high = ASPECT_RATIO_RANGE
    for attempt in range(MAX_ATTEMPTS):
        draw = CROP + 4 * attempt
        aspect = low + uniform(key, draw) * (high - low)
        # The height, not the area, is uniform between its bounds.
        max_height = min(int((image_width + 0.5 - 1e-7) / aspect), image_height)
        height = min(int(np.rint(math.sqrt(min_area / aspect))), max_height)
        height += below(key, draw + 1, max_height - height + 1)
        # Rounding may leave the area just under its bound: one step up, then give up.
        if np.rint(height * aspect) * height < min_area:
            height += 1
        width = int(np.rint(height * aspect))
        if width * height < min_area or width > image_width or height > image_height:
            continue
        y = below(key, draw + 2, image_height - height)
        x = below(key, draw + 3, image_width - width)
        if covers_an_object(y, x, height, width, boxes, image_height, image_width):
            return y, x, height, width
    return 0, 0, image_height, image_width


@compiled
def central_crop(height, width):
    """The window of tf.image.central_crop with 87.5 %."""
    y = int((height - height * CENTRAL_FRACTION) / 2)
    x = int((width - width * CENTRAL_FRACTION) / 2)
    return y, x, height - 2 * y, width - 2 * x


@compiled
def vgg_crop(key, height, width, image_size, training):
    """The square window of slim's vgg preprocessing.

    There the image is resized (aspect kept) so that its smaller side is 256 / 224 of image_size, in
    training at random 256 / 224 to 512 / 224 of it, and a square of image_size is cut out at random
    (training) or from the middle. Cutting first and resizing the square is the same to a pixel.
    """
    smaller = min(height, width)
    low, high = int(np.rint(image_size * 256 / 224)), int(np.rint(image_size * 512 / 224))
    side = low + below(key, SIDE, high - low + 1) if training else low
    cut = min(max(int(np.rint(smaller * image_size / side)), 1), smaller)
    if not training:
        return (height - cut) // 2, (width - cut) // 2, cut, cut
    return below(key, TOP, height - cut + 1), below(key, LEFT, width - cut + 1), cut, cut


@compiled
def colours_of(key):
    """Brightness delta (of a range of 1), saturation factor, 1 where brightness comes first."""
    low, high = SATURATION_RANGE
    return (
        (2 * uniform(key, BRIGHTNESS) - 1) * MAX_BRIGHTNESS_DELTA,
        low + uniform(key, SATURATION) * (high - low),
        1.0 if uniform(key, ORDER) < 0.5 else 0.0,
    )


@compiled
def is_flipped(key):
    return uniform(key, FLIP) < 0.5


def resolve(augmentation, preprocessing_name):
    """'auto' as what goes with a kind of preprocessing."""
    if augmentation != 'auto':
        return augmentation
    return {'inception_v2': 'inception', 'vgg': 'vgg'}.get(preprocessing_name, 'none')


def plan(preprocessing_name, image_size, key, height, width, boxes, training, augmentation='auto'):
    """What is to be done with an image: (window int32 [4], flip bool, colour float32 [3]).

    key: uint64 from key_of; boxes: float32 [m, 4]. Without `training` nothing is random: no flip,
    colour 0 (not used). augmentation: one of data.AUGMENTATIONS; with 'flip' and 'none' the window
    is the evaluation's.
    """
    key = u64(key)  # compiled code hands it out as a Python int, and takes that for a signed one
    kind = resolve(augmentation, preprocessing_name) if training else 'none'
    flip = kind != 'none' and is_flipped(key)
    colour = colours_of(key) if kind == 'inception' else (0, 0, 0)
    if kind == 'inception':
        window = distorted_crop(key, height, width, boxes if len(boxes) else WHOLE_IMAGE)
    elif preprocessing_name == 'inception_v2':
        window = central_crop(height, width)
    elif preprocessing_name == 'vgg':
        window = vgg_crop(key, height, width, image_size, kind == 'vgg')
    else:
        window = 0, 0, height, width
    return np.array(window, np.int32), flip, np.array(colour, np.float32)
