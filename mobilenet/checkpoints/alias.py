"""Paths as TensorFlow can take them: it looks for files by patterns, where `[` and `*` mean
something, and knows UTF-8 alone.
"""

import contextlib
import os
import re
import shutil
import tempfile

from mobilenet.checkpoints import names

_PLAIN = re.compile(r'[\w.\-]+$', re.ASCII)


@contextlib.contextmanager
def folder_for_tensorflow(folder):
    """A plain path of an existing folder, good for this process and while the context lasts
    (Linux's /proc/self/fd).
    """
    descriptor = os.open(folder or '.', os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f'/proc/self/fd/{descriptor}'
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def readable(prefix):
    """A plain prefix of an existing checkpoint, to read it, whatever characters its path has."""
    folder, name = os.path.split(prefix)
    if _PLAIN.match(name):
        with folder_for_tensorflow(folder) as plain:
            yield f'{plain}/{name}'
        return
    links = tempfile.mkdtemp(prefix='mobilenet_checkpoint_')
    try:
        for path in names.files_of(prefix):
            os.symlink(os.path.abspath(path), f'{links}/{names.NAME}{path[len(prefix) :]}')
        yield f'{links}/{names.NAME}'
    finally:
        shutil.rmtree(links, ignore_errors=True)
