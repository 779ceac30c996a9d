"""JPEGs decoded and rendered, several in one call without Python's lock.

The decoder is TensorFlow 1.15's own, called as the function that its op decode_and_crop_jpeg ends
in: the same pixels, without two copies of the file and the way through a session. And each image is
rendered while its pixels are in the cache.
"""

import ctypes
import functools

import numpy as np
import tensorflow as tf
from tensorflow.python import pywrap_tensorflow_internal

from data.images import JPEG_START
from data.render import decode_and_render, range_of

# uint8* Uncompress(const void*, int, const UncompressFlags&, int* width, int* height,
# int* components, int64* warnings) of tensorflow/core/lib/jpeg/jpeg_mem.h, and C++'s delete[].
UNCOMPRESS = '_ZN10tensorflow4jpeg10UncompressEPKviRKNS0_15UncompressFlagsEPiS6_S6_Px'
DELETE = '_ZdaPv'
# The words of UncompressFlags, as the op sets them: ratio; components; fancy_upscaling (see
# preprocess.decode); min_acceptable_fraction; stride; dct_method, JDCT_IFAST; crop, and its x, y,
# width and height.
FLAGS = np.array([1, 3, 1, np.float32(1).view(np.int32), 0, 1, 1, 0, 0, 0, 0], np.int32)
# Larger images are left to the op: without memory for their pixels it fails, with the record's
# name, and the function ends the process.
MOST_PIXELS = 1 << 24


@functools.lru_cache(maxsize=None)
def functions():
    """int64 [2]: where Uncompress and delete[] are; None in another TensorFlow."""
    if not tf.__version__.startswith('1.15.'):
        return None
    try:
        library = ctypes.CDLL(pywrap_tensorflow_internal._pywrap_tensorflow_internal.__file__)
        found = [library[name] for name in (UNCOMPRESS, DELETE)]
    except (OSError, AttributeError):
        return None
    return np.array([ctypes.cast(f, ctypes.c_void_p).value for f in found], np.int64)


def finish(examples, recoloured, out):
    """The images of Examples into `out` [n, size, size, 3], float32 in -1..1 or uint8, but for what
    is no JPEG, or damaged, or large. Returns a list of bool: which are there.
    """
    done = np.zeros(len(examples), np.bool_)
    ours = [e.pixels <= MOST_PIXELS and e.encoded.startswith(JPEG_START) for e in examples]
    sizes = [len(e.encoded) if is_ours else 0 for e, is_ours in zip(examples, ours)]
    if functions() is not None and any(sizes):
        decode_and_render(
            functions(),
            FLAGS.copy(),
            np.frombuffer((ctypes.c_char_p * len(out))(*[e.encoded for e in examples]), np.int64),
            np.array(sizes, np.int32),
            np.array([example.window for example in examples]),
            np.array([example.flip for example in examples]),
            np.array([example.colour for example in examples]),
            recoloured,
            *range_of(out.dtype),
            out,
            done,
        )
    return done.tolist()
