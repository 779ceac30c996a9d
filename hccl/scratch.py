"""The folder that a launcher and its ranks talk through; of one that was killed, the next launcher
removes it."""

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile

_PREFIX = 'mobilenet_launch_'
_LOCK = 'launcher.lock'


@contextlib.contextmanager
def folder():
    """A new folder, removed at the end. Those of launchers that were killed are removed, too: the
    kernel has let go of the locks on them."""
    remove_left_over()
    path = tempfile.mkdtemp(prefix='new_' + _PREFIX)  # gets its name once the lock is held
    lock = os.open(os.path.join(path, _LOCK), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new, path = path, path.replace('new_' + _PREFIX, _PREFIX)
        os.rename(new, path)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def remove_left_over():
    """Removes this user's folders that no launcher holds."""
    for path in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), _PREFIX + '*')):
        try:
            if os.lstat(path).st_uid != os.getuid():
                continue
            lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:  # killed while it was being removed, or gone
            shutil.rmtree(path, ignore_errors=True)
            continue
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # its launcher lives
        finally:
            os.close(lock)
