"""Kernels in C++ for TensorFlow's oneDNN build on a host, compiled by scripts/setup.sh.

Where they are not there (no g++ then), graphs are built from slower ops with the same bits.
"""

import functools
import glob
import os
import sys
import zlib

_FOLDER = os.path.dirname(os.path.abspath(__file__))


def sources():
    """Paths of the C++ files."""
    return sorted(glob.glob(os.path.join(glob.escape(_FOLDER), '*.cc')))


def library():
    """Path of what they are compiled to, for the TensorFlow of this virtual environment."""
    version = 0
    for path in sources() + [os.path.join(_FOLDER, '__main__.py')]:
        with open(path, 'rb') as file:
            version = zlib.crc32(file.read(), version)
    return os.path.join(sys.prefix, 'lib', 'mobilenet', f'kernels-{version:08x}.so')


@functools.lru_cache(None)
def load():
    """The module of the ops; TensorFlow has the kernels from now on, in all sessions. None where
    they are not compiled, or the file cannot be loaded: damaged, or on a disk mounted noexec.
    """
    path = library()
    if not os.path.exists(path):
        return None
    import tensorflow as tf

    try:
        return tf.load_op_library(path)
    except tf.errors.OpError:
        return None
