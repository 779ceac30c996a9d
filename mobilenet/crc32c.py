"""CRC-32C, and the records that it guards in TFRecord and event files
(tensorflow/core/lib/hash/crc32c.h, lib/io/record_writer.h).
"""

import struct
import sys
import types

# google_crc32c imports pkg_resources, for Windows: a quarter of what a command takes to start.
_missing = 'pkg_resources' not in sys.modules
if _missing:
    sys.modules['pkg_resources'] = types.ModuleType('pkg_resources')
try:
    import google_crc32c
finally:
    if _missing:
        del sys.modules['pkg_resources']


def masked(data):
    """CRC-32C of bytes in TFRecord's rotated form."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data):
    """The bytes of one record as they stand in a file."""
    length = struct.pack('<Q', len(data))
    return b''.join((length, _packed(length), data, _packed(data)))


def _packed(data):
    return struct.pack('<I', masked(data))
