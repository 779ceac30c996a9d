"""A kernel in C++ for TensorFlow's oneDNN build on a host, compiled by scripts/setup.sh.

Where it is not there (no g++ then), the networks are built from slower ops with the same bits.
"""

import functools
import os
import sys
import zlib

_FOLDER = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(_FOLDER, 'relu6_grad.cc')


def library():
    """Path of what SOURCE is compiled to, for the TensorFlow of this virtual environment."""
    version = 0
    for path in (SOURCE, os.path.join(_FOLDER, '__main__.py')):
        with open(path, 'rb') as file:
            version = zlib.crc32(file.read(), version)
    return os.path.join(sys.prefix, 'lib', 'mobilenet', f'relu6_grad-{version:08x}.so')


@functools.lru_cache(None)
def load():
    """Whether the kernel is there; TensorFlow has it from now on, in all sessions."""
    path = library()
    if not os.path.exists(path):
        return False
    import tensorflow as tf

    tf.load_op_library(path)
    return True
