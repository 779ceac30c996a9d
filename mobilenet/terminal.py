"""The terminal may go away (`| head`, a closed window, a full disk): that ends no run."""

import io
import os
import select
import sys

from mobilenet import text

_PATIENCE = 1.0  # seconds that a descriptor in non-blocking mode has to take more


class Writer(io.TextIOBase):
    """A text stream on a file descriptor that drops what cannot be written (or, not `outliving` its
    reader, raises OSError as any stream), and writes any name: what the encoding lacks, and what
    gives a terminal orders, as \\xe9.

    A line goes out as a whole, at once: it may be written in a signal's handler and before
    os._exit, and one that failed leaves nothing behind that would fail again.
    """

    encoding, errors = None, text.ESCAPES

    def __init__(self, descriptor, encoding, outliving):
        self._descriptor, self.encoding, self._outliving = descriptor, encoding, outliving
        self._begun = ''  # of a line

    def write(self, piece):
        self._begun += piece
        if '\n' in piece or '\r' in piece:
            self.flush()
        return len(piece)

    def flush(self):
        piece, self._begun = self._begun, ''
        data = memoryview(text.harmless(piece).encode(self.encoding, self.errors))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                if not select.select([], [self._descriptor], [], _PATIENCE)[1]:
                    break
            except OSError:
                if not self._outliving:
                    raise
                break  # nobody reads any more, or the disk is full: the next line is tried again

    def writable(self):
        return True

    def fileno(self):
        return self._descriptor

    def isatty(self):
        try:
            return os.isatty(self._descriptor)
        except OSError:
            return False


def protect(outliving=True):
    """Makes sys.stdout and sys.stderr Writers, and opens what was closed (`>&-`) on /dev/null, or
    the next file that is opened would get the lines meant for it. Commands call it first of all;
    outliving: whether they go on where nobody reads what they print; stderr holds up nobody."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)
    for name, descriptor in (('stdout', 1), ('stderr', 2)):
        stream = getattr(sys, name)
        if _is_on(stream, descriptor):
            encoding = getattr(stream, 'encoding', None) or 'utf-8'
            setattr(sys, name, Writer(descriptor, encoding, outliving or descriptor == 2))


def _is_on(stream, descriptor):
    """Whether a stream is the process's own: not a Writer yet, and not somebody's capture."""
    if stream is None:
        return True
    try:
        return not isinstance(stream, Writer) and stream.fileno() == descriptor
    except (OSError, ValueError, AttributeError):
        return False
