"""TFRecord framing: write, index once, then read any record at random with its checksum verified.

A TFRecord file is a run of records (tensorflow/core/lib/io/record_writer.h):

    uint64 length | uint32 masked crc32c of length | bytes data | uint32 masked crc32c of data

all little-endian. TensorFlow's own reader only goes forward. The index below (offset and length
of every record) makes the number of examples exact, and lets an epoch be any permutation and a
resume start anywhere without reading what lies before. Record numbers count from 0 within a
file. No TensorFlow here.
"""

import collections
import concurrent.futures
import os
import struct
import threading

import numpy as np

from data import array_cache, digest
from mobilenet import crc32c, text
from mobilenet.crc32c import frame

HEADER = struct.Struct('<QI')
FOOTER = struct.Struct('<I')
OVERHEAD = HEADER.size + FOOTER.size
SCAN_THREADS = 16
# A process may have 1,024 files open on most systems, and ImageNet has 1,024 training shards.
MAX_OPEN_FILES = 256
# As of an image file: a header that lies must not ask for more.
MAX_RECORD_BYTES = 512 << 20
# What a file that is no TFRecord file is, by its first bytes.
OTHER_KINDS = (
    (b'\x1f\x8b', 'it is compressed by gzip: unpack it first (gunzip)'),
    (b'\x78\x01', 'it is compressed by zlib: write it anew without compression'),
    (b'\x78\x5e', 'it is compressed by zlib: write it anew without compression'),
    (b'\x78\x9c', 'it is compressed by zlib: write it anew without compression'),
    (b'\x78\xda', 'it is compressed by zlib: write it anew without compression'),
    (b'BZh', 'it is compressed by bzip2: unpack it first (bunzip2)'),
    (b'\xfd7zXZ', 'it is compressed by xz: unpack it first (unxz)'),
    (b'\x28\xb5\x2f\xfd', 'it is compressed by zstd: unpack it first (unzstd)'),
    (b'PK\x03\x04', 'it is a zip archive: unpack it first'),
    (
        b'version https://git-lfs',
        'it is a pointer of Git LFS: fetch the file itself (git lfs pull)',
    ),
    (b'<', 'it is a web page, or another text, not a TFRecord file'),
)


class BadRecord(Exception):
    """A record, or a file from that record on, that cannot be used: `place` and `reason`.

    `place` is "FILE, record N"; of an image file (number None) just the file.
    """

    def __init__(self, path, number, reason):
        # TensorFlow takes the message on to C++, as UTF-8.
        self.place = text.printable(path if number is None else f'{path}, record {number}')
        self.reason = text.printable(reason)
        super().__init__(f'{self.place}: {self.reason}')


class TFRecordWriter:
    """Writes records to `path`. The file appears there, whole, when it is closed without an error.

    with TFRecordWriter('train-00000-of-00001') as writer:
        writer.write(example.SerializeToString())
    """

    def __init__(self, path):
        self.path = path
        self._partial = f'{path}.partial-{os.getpid()}'
        self._file = open(self._partial, 'wb')
        self.num_records = 0

    def write(self, data):
        self._file.write(frame(data))
        self.num_records += 1

    def close(self):
        self._file.close()
        os.replace(self._partial, self.path)

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, traceback):
        if error_type is None:
            self.close()
        else:
            self._file.close()
            os.remove(self._partial)


def scan(path):
    """Finds the records of one file by their headers; the data is not read.

    Returns (offsets int64 [n] of the headers, lengths int64 [n] of the data, error), where error
    is None or the BadRecord at which the scan had to end: an empty file, a damaged header, a
    truncated record.
    """
    offsets, lengths, error, offset = [], [], None, 0
    try:
        descriptor, size = text.open_regular(path)
    except text.Unreadable as unreadable:
        return (
            np.array([], np.int64),
            np.array([], np.int64),
            BadRecord(path, None, str(unreadable)),
        )
    if size == 0:
        error = BadRecord(path, 0, 'the file is empty')
    try:
        while offset < size:
            header = os.pread(descriptor, HEADER.size, offset)
            if len(header) < HEADER.size:
                error = BadRecord(
                    path, len(offsets), 'the file is truncated within a record header'
                )
                break
            length, crc = HEADER.unpack(header)
            if crc32c.masked(header[:8]) != crc:
                error = BadRecord(path, len(offsets), _other_kind(descriptor, offset))
                break
            if offset + OVERHEAD + length > size:
                missing = offset + OVERHEAD + length - size
                reason = f'the file is truncated: the record ends {missing} bytes after the file'
                error = BadRecord(path, len(offsets), reason)
                break
            offsets.append(offset)
            lengths.append(length)
            offset += OVERHEAD + length
    finally:
        os.close(descriptor)
    return np.array(offsets, np.int64), np.array(lengths, np.int64), error


def _other_kind(descriptor, offset):
    """Why a record's header is wrong: the file's first one may tell what the file is instead."""
    start = os.pread(descriptor, 32, 0) if offset == 0 else b''
    for magic, what in OTHER_KINDS:
        if start.startswith(magic):
            return what
    return 'wrong checksum of the record length (damaged, or no TFRecord file)'


def build_index(paths):
    """Offsets and lengths of all records of `paths`, in order; cached while the files stay as is.

    Returns (file_numbers int32 [N], offsets int64 [N], lengths int64 [N], errors: list of
    BadRecord). What was found with errors is not cached: such files are about to be replaced.
    """
    rows = [
        (os.path.abspath(path), digest.size_of(path), digest.changed_ns(path)) for path in paths
    ]
    cache = array_cache.path('index', digest.of_rows(rows))
    saved = array_cache.load(cache)
    if saved is not None:
        return saved['file_numbers'], saved['offsets'], saved['lengths'], []
    with concurrent.futures.ThreadPoolExecutor(SCAN_THREADS) as pool:
        found = list(pool.map(scan, paths))
    file_numbers = np.repeat(np.arange(len(paths), dtype=np.int32), [len(f[0]) for f in found])
    offsets = np.concatenate([f[0] for f in found])
    lengths = np.concatenate([f[1] for f in found])
    errors = [f[2] for f in found if f[2] is not None]
    if not errors:
        array_cache.save(cache, file_numbers=file_numbers, offsets=offsets, lengths=lengths)
    return file_numbers, offsets, lengths, errors


class _OpenFile:
    """Closed when its last user lets go of it, so that the cache may drop it at any time."""

    def __init__(self, path):
        self.descriptor, _ = text.open_regular(path)

    def __del__(self, close=os.close):  # when Python ends, the module's own names go first
        if hasattr(self, 'descriptor'):
            close(self.descriptor)


class RecordFiles:
    """All records of a list of TFRecord files as one array, read at random, from any thread.

    `errors` lists what the scan found (BadRecord); records from the damage to the end of that
    file are left out.
    """

    def __init__(self, paths):
        self.paths = list(paths)
        self.file_numbers, self.offsets, self.lengths, self.errors = build_index(self.paths)
        self._first_record = np.searchsorted(self.file_numbers, np.arange(len(self.paths)))
        self._open_files = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self):
        return len(self.offsets)

    def counts(self):
        """The number of records of each file, in order."""
        return np.bincount(self.file_numbers, minlength=len(self.paths)).tolist()

    def locate(self, record):
        """(path, record number in that file) of a record of the whole."""
        file_number = self.file_numbers[record]
        return self.paths[file_number], int(record - self._first_record[file_number])

    def read(self, record):
        """The data of a record as bytes. Raises BadRecord on a wrong checksum or a lost file."""
        start, length = int(self.offsets[record]) + HEADER.size, int(self.lengths[record])
        if length > MAX_RECORD_BYTES:
            reason = f'a record of {text.size_in_words(length)}: more than an image may have'
            raise BadRecord(*self.locate(record), reason=reason)
        try:
            descriptor = self._file(int(self.file_numbers[record])).descriptor
            data = os.pread(descriptor, length, start)
            footer = os.pread(descriptor, FOOTER.size, start + length)
        except OSError as error:
            raise BadRecord(*self.locate(record), reason=error.strerror)
        except text.Unreadable as error:
            raise BadRecord(*self.locate(record), reason=str(error))
        if len(data) + len(footer) != length + FOOTER.size:
            raise BadRecord(*self.locate(record), reason='the file became shorter while in use')
        if crc32c.masked(data) != FOOTER.unpack(footer)[0]:
            raise BadRecord(*self.locate(record), reason='wrong checksum of the data')
        return data

    def will_read(self, record):
        """Has the system fetch a record from the disk meanwhile. A hint: raises nothing."""
        try:
            os.posix_fadvise(
                self._file(int(self.file_numbers[record])).descriptor,
                int(self.offsets[record]),
                int(self.lengths[record]) + OVERHEAD,
                os.POSIX_FADV_WILLNEED,
            )
        except (
            OSError,
            text.Unreadable,
            AttributeError,
        ):  # gone (the read will tell); not on macOS
            pass

    def _file(self, file_number):
        with self._lock:
            file = self._open_files.get(file_number)
            if file is None:
                file = self._open_files[file_number] = _OpenFile(self.paths[file_number])
                if len(self._open_files) > MAX_OPEN_FILES:
                    self._open_files.popitem(last=False)
            else:
                self._open_files.move_to_end(file_number)
            return file
