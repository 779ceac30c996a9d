"""Whether a folder can take what a run will write, asked before anything is trained; leftovers of a
killed run. No TensorFlow here.
"""

import os
import re
import resource
import shutil

from mobilenet.errors import UsageError

SAVING = '.saving'  # a checkpoint is written in this folder, then moved up
_LEFTOVER = re.compile(
    r'model\.ckpt-\d+\.(index|data-\d+-of-\d+)\.tempstate\d+$'
    r'|checkpoint\.tmp[0-9a-f]{32}$'
    r'|(checkpoint|config\.json|run\.json|metrics\.jsonl)(\.tmp|\.partial-\d+)$'
)


def check_writable(folder):
    """Writes and removes a small file. Raises UsageError: read-only, full, no permission."""
    path = os.path.join(folder, f'.writable.{os.getpid()}')
    try:
        with open(path, 'wb') as f:
            f.write(b'\0' * 4096)
            f.flush()
            os.fsync(f.fileno())
    except OSError as error:
        raise UsageError(f'--train_dir={folder} cannot be written to: {error.strerror}')
    finally:
        try:
            os.remove(path)
        except OSError:
            pass


def check_room(folder, needed):
    """Raises UsageError where `needed` bytes, a checkpoint's, do not fit: the disk is full, or
    files may not be so long.
    """
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if free < needed:
        raise UsageError(
            f'--train_dir={folder}: a checkpoint takes {_megabytes(needed)}, and '
            f'{_megabytes(free)} are free: make room, or give another folder'
        )
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise UsageError(
            f'--train_dir={folder}: a checkpoint takes {_megabytes(needed)}, and this shell lets a '
            f'file have {_megabytes(limit)} (ulimit -f): raise that limit'
        )


def remove_leftovers(folder):
    """Removes what a killed run had half written; gives the names."""
    removed = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        try:
            if name == SAVING and os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif _LEFTOVER.match(name) and os.path.isfile(path):
                os.remove(path)
            else:
                continue
            removed.append(name)
        except OSError:
            continue  # it is in nobody's way
    return removed


def _megabytes(count):
    return f'{count / 1e6:.1f} MB'
