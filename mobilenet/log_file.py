"""The log of a run: a file that may be rotated away or become unwritable; that ends no run."""

import logging

from mobilenet import text
from mobilenet.appending import open_to_append


class LogFile(logging.Handler):
    """Appends each record to a file by its name, opened for that record: a file that was moved
    away is begun anew, and what a full disk did not take is not tried again with the next."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        with open(path, 'ab', opener=open_to_append):
            pass  # raises OSError where it could not be written to at all

    def emit(self, record):
        try:
            line = text.harmless(self.format(record)) + '\n'
            with open(self.path, 'ab', buffering=0, opener=open_to_append) as f:
                f.write(line.encode('utf-8', text.ESCAPES))
        except OSError:
            pass
