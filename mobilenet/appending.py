"""Files that a run appends to: records go in whole or not at all, and a full disk ends no run.

No TensorFlow here.
"""

import os

from mobilenet import json_files
from mobilenet.errors import UsageError

LONGEST_LINE = 1 << 16
PENDING = 64 << 20  # bytes that wait for room at most; then the oldest records are lost


def open_to_append(path, *ignored):
    """A descriptor. Raises OSError, also of a pipe (FIFO) that nobody reads: it would wait."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    return os.open(path, flags, 0o666)


def check(path):
    """Raises UsageError where a file that is there cannot be appended to."""
    try:
        if os.path.lexists(path):
            open(path, 'ab', opener=open_to_append).close()
    except OSError as error:
        raise UsageError(f'{path} cannot be written to: {error.strerror}')


def is_at(descriptor, path):
    """Whether the open file is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def drop_lines_after(path, names, last):
    """Cuts metrics.jsonl or eval.jsonl back to the checkpoint a run resumes from, to lines whose
    entries of these names add up to `last` at most: lines of lost steps would stand there twice.
    Lines that are none of ours (half a line, from a kill) go too.
    """
    if not os.path.isfile(path):
        return
    with open(path, 'rb') as lines, open(path + '.tmp', 'wb') as kept:
        for line in iter(lambda: lines.readline(LONGEST_LINE), b''):
            entry = json_files.parse_object(line.decode('utf-8', 'replace'))
            counts = [entry.get(name) for name in names]
            if all(map(json_files.is_count, counts)) and sum(counts) <= last:
                kept.write(line.rstrip(b'\r\n') + b'\n')
    os.replace(path + '.tmp', path)


class Appender:
    """Appends records to a file. What does not fit (a full disk) waits and is tried again with the
    next; the file never ends within a record. One that was deleted or moved away is begun anew.

    Raises OSError where the file cannot be opened.
    """

    def __init__(self, path):
        self._path, self._descriptor = path, open_to_append(path)
        self._pending, self._waiting = [], 0

    def append(self, record):
        """record: bytes."""
        self._pending.append(record)
        self._waiting += len(record)
        while self._waiting > PENDING:
            self._waiting -= len(self._pending.pop(0))
        self.flush()

    def flush(self):
        """Writes what waits, as far as there is room."""
        if self._pending and not is_at(self._descriptor, self._path):
            self._reopen()
        while self._pending and self._write(self._pending[0]):
            self._waiting -= len(self._pending.pop(0))

    def close(self):
        self.flush()
        os.close(self._descriptor)

    def _reopen(self):
        try:
            descriptor = open_to_append(self._path)
        except OSError:
            return  # no folder any more: into the old file, which may have been moved with it
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _write(self, record):
        """Whether the record is in the file."""
        try:
            end = os.fstat(self._descriptor).st_size
            written = 0
            try:
                while written < len(record):
                    written += os.write(self._descriptor, record[written:])
            except OSError:
                os.ftruncate(self._descriptor, end)
                return False
        except OSError:
            return False
        return True
