"""What libjpeg and libpng print of an image ("Corrupt JPEG data: …"), with the image's name.

They write to file descriptor 2 themselves and name nothing.
"""

import contextlib
import functools
import os
import re
import sys
import tempfile

from mobilenet import text

_MOST = 1000  # bytes that are shown of one image
_OF_TENSORFLOW = re.compile(r'\d{4}-\d\d-\d\d ')


@functools.lru_cache(maxsize=None)
def _file(process):
    return tempfile.TemporaryFile()


@contextlib.contextmanager
def named(place):
    """Around the decoding of one image, in a process that decodes no other meanwhile: what is
    printed then goes to stderr in one line, behind its name.
    """
    file, kept = _file(os.getpid()), os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if os.fstat(file.fileno()).st_size:
            _tell(place, file)


def _tell(place, file):
    file.seek(0)
    lines = file.read(_MOST).decode('utf-8', 'replace').splitlines()
    file.seek(0)
    file.truncate()
    words = [line for line in lines if line and not _OF_TENSORFLOW.match(line)]
    if words:
        said = '; '.join(dict.fromkeys(words))
        print(f'{text.printable(place)}: {text.printable(said)}', file=sys.stderr, flush=True)
