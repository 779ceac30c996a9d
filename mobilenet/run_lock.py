"""One run, one folder: a second run on a --train_dir is refused while the first one lives. No
TensorFlow here.
"""

import fcntl
import json
import os
import socket
import time

from mobilenet import json_files
from mobilenet.appending import is_at
from mobilenet.errors import Failure, UsageError
from mobilenet.hooks import Hook

NAME = 'run.lock'


class RunLock(Hook):
    """Rank 0 holds TRAIN_DIR/run.lock from before the graph is built to the end of the run.

    A lock that was deleted under the run, alone or with its folder, is taken anew: saving makes the
    folder again, and a second run would not be refused there. Raises Failure where that has begun.
    """

    def __init__(self):
        self._lock = None

    def before_graph(self, run):
        if run.is_main:
            self._lock = Lock(run.config.train_dir)
            dead = self._lock.acquire()
            if dead:
                run.say(f'took over from {dead}, which is gone')

    def after_loop(self, run, n, values, seconds):
        if not self._lock or self._lock.is_there():
            return
        folder = run.config.train_dir
        lost = f'{folder} was' if not os.path.isdir(folder) else f'{self._lock.path} was'
        try:
            os.makedirs(os.path.realpath(folder), exist_ok=True)  # what a link points to, too
            self._lock.release()
            self._lock.acquire()
        except Held as error:
            raise Failure(f'{lost} deleted under this run; now {error}', kind='lock')
        except (OSError, UsageError):
            return  # no room, no permission: tried again after the next loop
        run.say(f'{lost} deleted or moved away under the run: made anew, and going on there')

    def end(self, run, error):
        if self._lock:
            self._lock.release()


class Held(UsageError):
    """Another run has the lock, or may have it; the message says which."""

    kind = 'lock'


class Lock:
    """A file with the process id, host and start of its owner, locked (flock) while that lives.

    flock alone would do on one host; over a shared file system it may not reach the other hosts.
    """

    def __init__(self, folder):
        self._folder, self.path = folder, os.path.join(folder, NAME)
        self._descriptor = None

    def acquire(self):
        """Takes the lock; gives the dead owner it was taken over from, in words, or None.

        Raises Held where a process of this host has it, or one of another host may have it;
        UsageError where the file cannot be written.
        """
        while True:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO would wait
                descriptor = os.open(self.path, flags, 0o666)
            except OSError as error:
                raise UsageError(f'{self.path}: {error.strerror}')
            try:
                held = _flock(descriptor)
                owner = json_files.parse_object(
                    os.read(descriptor, 4096).decode('utf-8', 'replace')
                )
                if held or _may_live(owner):
                    raise Held(self._refusal(owner))
                if not is_at(descriptor, self.path):  # its owner has just removed it
                    os.close(descriptor)
                    continue
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, (json.dumps(_this_process()) + '\n').encode(), 0)
            except OSError as error:
                os.close(descriptor)
                raise UsageError(f'{self.path}: {error.strerror}')
            except UsageError:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            return _in_words(owner) if owner else None

    def is_there(self):
        """Whether the file that was taken is still at its place, or one that names this process."""
        if self._descriptor is not None and is_at(self._descriptor, self.path):
            return True
        owner = json_files.read_object(self.path)
        return all(owner.get(name) == value for name, value in _identity().items())

    def release(self):
        """Removes the file; nothing where it is not held, or is somebody else's by now."""
        if self._descriptor is None:
            return
        try:
            if is_at(self._descriptor, self.path):
                os.remove(self.path)
        except OSError:
            pass  # a dead owner's lock is taken over
        os.close(self._descriptor)
        self._descriptor = None

    def _refusal(self, owner):
        if owner.get('host') in (None, socket.gethostname()):
            return (
                f'{self._folder} is in use by {_in_words(owner)}: end that run first, or give '
                'another --train_dir'
            )
        return (
            f'{self._folder} is in use by {_in_words(owner)}: if that run is over, delete '
            f'{self.path}; else give another --train_dir'
        )


def _flock(descriptor):
    """Locks a file; gives whether another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no such locks on this file system: what the file says has to do
    return False


def _this_process():
    return dict(_identity(), time=time.strftime('%Y-%m-%d %H:%M:%S'))


def _identity():
    return {
        'pid': os.getpid(),
        'host': socket.gethostname(),
        'started': _start_of(os.getpid()),
        'boot': _boot(),
    }


def _may_live(owner):
    """Whether the process that a lock names may still run: another host's cannot be asked."""
    if not json_files.is_count(owner.get('pid')) or not isinstance(owner.get('host'), str):
        return False  # half written, by a process that died then
    if owner['host'] != socket.gethostname():
        return True
    if owner.get('boot') != _boot() or owner['pid'] == os.getpid():
        return False
    started = _start_of(owner['pid'])
    return started is not None and started == owner.get('started')


def _start_of(pid):
    """When a process of this host started, in clock ticks since boot; None where there is none.

    A process id alone may have been given to another one since.
    """
    try:
        with open(f'/proc/{pid}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in 'ZX' else int(fields[19])


def _boot():
    """What tells this boot of the host from others."""
    try:
        with open('/proc/sys/kernel/random/boot_id') as f:
            return f.read().strip()
    except OSError:
        return ''


def _in_words(owner):
    since = owner.get('time')
    return (
        f'process {owner.get("pid", "of an unknown number")} on {owner.get("host", "this host")}'
        + (f', since {since}' if isinstance(since, str) else '')
    )
