"""The random numbers of augmentation, and the crops made of them, in numpy for a whole chunk of records at once.

Every number is a hash of (seed, epoch, record, draw): no state, so threads, ranks and a resume cannot change it.
The crop has the distribution of tf.image.sample_distorted_bounding_box (the same steps as its kernel,
core/kernels/sample_distorted_bounding_box_op.cc) and the colours those of slim's fast inception preprocessing
(slim/preprocessing/inception_preprocessing.py, distort_color with fast_mode).
"""

import numpy as np

ASPECT_RATIO_RANGE = (0.75, 1.33)
AREA_RANGE = (0.05, 1.0)
MIN_OBJECT_COVERED = 0.1
MAX_ATTEMPTS = 100
# Most crops come from one of the first attempts; the others are drawn only for the records that need them.
ATTEMPTS_AT_ONCE = 10
MAX_BRIGHTNESS_DELTA = 32.0 / 255.0
SATURATION_RANGE = (0.5, 1.5)

# Which number of a record is used for what. Crop attempt a draws 4 numbers from CROP + 4 * a on.
FLIP, BRIGHTNESS, SATURATION, ORDER, SIDE, TOP, LEFT, CROP = range(8)


def _mix(x):
    """The finalizer of splitmix64 (Steele, Lea, Flood 2014) on a uint64 array."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    return x ^ (x >> np.uint64(31))


def uniform(seed, epochs, records, draws):
    """float64 [n, len(draws)] in [0, 1) for epochs [n] and records [n]."""
    golden = np.uint64(0x9e3779b97f4a7c15)
    key = _mix(np.array([seed & 0xffffffffffffffff], np.uint64) + golden)
    key = _mix(key ^ _mix(np.asarray(epochs).astype(np.uint64) * golden + np.uint64(1)))
    key = _mix(key ^ _mix(np.asarray(records).astype(np.uint64) * golden + np.uint64(2)))
    bits = _mix(key[:, None] + (np.asarray(draws).astype(np.uint64) + np.uint64(1)) * golden)
    return (bits >> np.uint64(11)) * (1.0 / (1 << 53))


def _integer_below(u, limits):
    """Whole numbers in [0, limits) from u in [0, 1); 0 where the limit is not positive."""
    return np.where(limits > 0, np.floor(u * limits), 0).astype(np.int64)


def _candidates(u, heights, widths):
    """Crop windows of one attempt each, in the steps of the kernel's GenerateRandomCrop.

    Args: u [..., 4]; heights, widths broadcastable to [...]. Returns (windows int64 [..., 4] as y, x, height, width;
    valid bool [...]).
    """
    aspect = ASPECT_RATIO_RANGE[0] + u[..., 0] * (ASPECT_RATIO_RANGE[1] - ASPECT_RATIO_RANGE[0])
    area = heights * widths
    min_area, max_area = AREA_RANGE[0] * area, AREA_RANGE[1] * area
    low = np.rint(np.sqrt(min_area / aspect))
    high = np.rint(np.sqrt(max_area / aspect))
    too_wide = np.rint(high * aspect) > widths
    fitting = np.floor((widths + 0.5 - 1e-7) / aspect)
    fitting -= np.rint(fitting * aspect) > widths
    high = np.minimum(np.where(too_wide, fitting, high), heights)
    low = np.minimum(low, high)
    height = low + _integer_below(u[..., 1], high - low + 1)
    # Rounding may push the area just past a bound: one step up, then one step down, then give up.
    height += np.rint(height * aspect) * height < min_area
    height -= np.rint(height * aspect) * height > max_area
    width = np.rint(height * aspect)
    valid = ((width * height >= min_area) & (width * height <= max_area) & (width <= widths) &
             (height <= heights) & (width > 0) & (height > 0))
    y = _integer_below(u[..., 2], heights - height)
    x = _integer_below(u[..., 3], widths - width)
    return np.stack([y, x, height.astype(np.int64), width.astype(np.int64)], -1), valid


def _covers_an_object(windows, boxes):
    """windows [n, a, 4], boxes in pixels [n, m, 4] (ymin, xmin, ymax, xmax; padded with empty ones) -> bool [n, a]"""
    y, x, height, width = (windows[:, :, None, i] for i in range(4))
    ymin, xmin, ymax, xmax = (boxes[:, None, :, i] for i in range(4))
    overlap_height = np.minimum(y + height, ymax) - np.maximum(y, ymin)
    overlap_width = np.minimum(x + width, xmax) - np.maximum(x, xmin)
    overlap = np.maximum(overlap_height, 0) * np.maximum(overlap_width, 0)
    area = (ymax - ymin) * (xmax - xmin)
    return ((area >= 1) & (overlap >= MIN_OBJECT_COVERED * area)).any(-1)


def pixel_boxes(boxes, heights, widths):
    """Ragged relative boxes, one [m_i, 4] a record, as padded pixel boxes int64 [n, m, 4]; no boxes: the whole image."""
    most = max([1] + [len(b) for b in boxes])
    padded = np.zeros([len(boxes), most, 4])
    for i, b in enumerate(boxes):
        if len(b):
            padded[i, :len(b)] = b
        else:
            padded[i, 0] = (0, 0, 1, 1)
    scale = np.stack([heights, widths, heights, widths], -1)[:, None, :]
    return np.floor(np.clip(padded, 0, 1) * scale).astype(np.int64)


def distorted_crops(seed, epochs, records, heights, widths, boxes):
    """Random crops of 5 to 100 % of the area, aspect 3/4 to 4/3, that show at least 10 % of some object.

    Args: epochs, records, heights, widths int64 [n]; boxes: list of n arrays [m_i, 4] (ymin, xmin, ymax, xmax in 0..1).
    Returns windows int64 [n, 4] (y, x, height, width). The whole image where 100 attempts fail.
    """
    windows = np.stack([np.zeros_like(heights), np.zeros_like(heights), heights, widths], -1)
    boxes = pixel_boxes(boxes, heights, widths)
    left = np.arange(len(records))
    for attempt in range(0, MAX_ATTEMPTS, ATTEMPTS_AT_ONCE):
        draws = CROP + 4 * attempt + np.arange(4 * ATTEMPTS_AT_ONCE)
        u = uniform(seed, epochs[left], records[left], draws).reshape([len(left), -1, 4])
        candidates, good = _candidates(u, heights[left, None], widths[left, None])
        good &= _covers_an_object(candidates, boxes[left])
        found = good.any(1)
        windows[left[found]] = candidates[found, good[found].argmax(1)]
        left = left[~found]
        if not len(left):
            break
    return windows


def flips(seed, epochs, records):
    """bool [n]: mirror the image left to right, half of the time."""
    return uniform(seed, epochs, records, [FLIP])[:, 0] < 0.5


def colours(seed, epochs, records):
    """float32 [n, 3]: brightness delta (of a range of 1), saturation factor, and 1 where brightness comes first."""
    u = uniform(seed, epochs, records, [BRIGHTNESS, SATURATION, ORDER])
    low, high = SATURATION_RANGE
    return np.stack([(2 * u[:, 0] - 1) * MAX_BRIGHTNESS_DELTA, low + u[:, 1] * (high - low),
                     u[:, 2] < 0.5], -1).astype(np.float32)


def central_crops(heights, widths, fraction=0.875):
    """Windows int64 [n, 4] of the central part, as tf.image.central_crop takes it."""
    y = ((heights - heights * fraction) / 2).astype(np.int64)
    x = ((widths - widths * fraction) / 2).astype(np.int64)
    return np.stack([y, x, heights - 2 * y, widths - 2 * x], -1)


def whole_images(heights, widths):
    return np.stack([np.zeros_like(heights), np.zeros_like(widths), heights, widths], -1)


def vgg_crops(heights, widths, image_size, u=None):
    """Square windows of slim's vgg preprocessing, in pixels of the image as it is.

    There the image is resized (aspect kept) so that its smaller side is 256 / 224 of image_size, in training 256 / 224
    to 512 / 224 of it, and a square of image_size is cut out at random (training) or from the middle. Cutting first
    and resizing the square is the same to a pixel. u: float [n, 3] in [0, 1) for training, None for evaluation.
    """
    smaller = np.minimum(heights, widths)
    low, high = round(image_size * 256 / 224.0), round(image_size * 512 / 224.0)
    if u is None:
        sides, v, h = np.full(len(heights), low), 0.5, 0.5
    else:
        sides, v, h = low + np.floor(u[:, 0] * (high - low + 1)), u[:, 1], u[:, 2]
    cut = np.clip(np.rint(smaller * image_size / sides), 1, smaller).astype(np.int64)
    y = np.minimum(np.floor((heights - cut + 1) * v), heights - cut).astype(np.int64)
    x = np.minimum(np.floor((widths - cut + 1) * h), widths - cut).astype(np.int64)
    return np.stack([y, x, cut, cut], -1)


def plan(preprocessing_name, image_size, seed, epochs, records, heights, widths, boxes, training):
    """What is to be done with each record of a chunk.

    Returns (windows int32 [n, 4] as y, x, height, width; flips bool [n]; colours float32 [n, 3]).
    """
    n = len(records)
    flip, colour = np.zeros([n], bool), np.zeros([n, 3], np.float32)
    if preprocessing_name == 'inception_v2':
        if training:
            windows = distorted_crops(seed, epochs, records, heights, widths, boxes)
            flip, colour = flips(seed, epochs, records), colours(seed, epochs, records)
        else:
            windows = central_crops(heights, widths)
    elif preprocessing_name == 'vgg':
        u = uniform(seed, epochs, records, [SIDE, TOP, LEFT]) if training else None
        windows = vgg_crops(heights, widths, image_size, u)
        flip = flips(seed, epochs, records) if training else flip
    else:
        windows = whole_images(heights, widths)
    return windows.astype(np.int32), flip, colour
