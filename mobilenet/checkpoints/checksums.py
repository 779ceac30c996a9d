"""A checksum of every file of a checkpoint, beside it, in the format of `sha256sum --check`."""

import hashlib
import os
import re

from mobilenet.errors import UsageError

SUFFIX = '.sha256'
_LINE = re.compile(r'([0-9a-f]{64}) [ *](\S.*)$')


class Damaged(UsageError):
    """A checkpoint whose bytes are not those that were saved; the message names the file."""


def of_file(path):
    """sha256 of a file, as hex."""
    whole = hashlib.sha256()
    with open(path, 'rb') as f:
        for part in iter(lambda: f.read(1 << 20), b''):
            whole.update(part)
    return whole.hexdigest()


def write(prefix, paths):
    """Writes PREFIX.sha256 for files in the folder of `prefix`."""
    lines = [f'{of_file(path)}  {os.path.basename(path)}\n' for path in sorted(paths)]
    with open(prefix + SUFFIX, 'w') as f:
        f.writelines(lines)


def read(prefix):
    """{suffix of a file: sha256} of PREFIX.sha256; None where there is none (an older run, another
    program's). Raises Damaged.
    """
    path = prefix + SUFFIX
    try:
        with open(path, errors='replace') as f:
            lines = f.read(1 << 20).splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f'{path}: {error.strerror}')
    matches = [_LINE.match(line) for line in lines]
    if not lines or not all(matches):
        raise Damaged(f'{path} is not a list of checksums')
    sums = {match.group(2): match.group(1) for match in matches}
    index = next((name for name in sums if name.endswith('.index')), None)
    if index is None:
        raise Damaged(f'{path} has no checksum of the index')
    # A person may have given the files another name: what follows it tells them apart.
    start = len(index) - len('.index')
    return {name[start:]: value for name, value in sums.items()}


def verify(prefix):
    """Compares the files of a checkpoint with their checksums; gives whether there are any. Raises
    Damaged.
    """
    expected = read(prefix)
    if expected is None:
        return False
    for suffix, checksum in sorted(expected.items()):
        path = prefix + suffix
        try:
            same = of_file(path) == checksum
        except OSError as error:
            raise Damaged(f'{path}, which {prefix}{SUFFIX} names: {error.strerror}')
        if not same:
            raise Damaged(f'{path} is damaged: its checksum is not the one in {prefix}{SUFFIX}')
    return True
