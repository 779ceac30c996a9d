"""Where a rank is and that it lives, told to its launcher through a small file.

Times are those of time.monotonic(), which all processes of a machine share and nobody sets back.
"""

import collections
import faulthandler
import functools
import os
import signal
import threading
import time

INTERVAL = 0.5  # seconds from one sign of life to the next
STARTING = 1800.0  # seconds until a rank meets the others, at most: it may list a large data set
LOADING = 300.0  # seconds without a sign of life then: loading TensorFlow holds Python's lock
STOP_GRACE = 30.0  # seconds, at least, in which a rank has to end once a stop is asked for
STATES = ('start', 'meet', 'loop', 'between')
_SIZE = 200  # bytes of the file, always: one write replaces it as a whole

# state: 'start' until the rank builds its graph, 'meet' until it has met all others, then 'loop' in
# a session run and 'between' outside. since: when it began. batch, step: where the run stands.
# limit: seconds the state may last; patience: seconds without a sign of life; grace: seconds the
# loop has to end in once a stop is asked for. alive: the last sign of life.
Beat = collections.namedtuple('Beat', 'state since batch step limit patience grace alive')


class Heartbeat:
    """Writes a rank's beats. `tell` a state; a thread then adds the signs of life."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._beat, self._lock = None, threading.Lock()

    def tell(self, state, batch, step, limit, patience, grace):
        """Seconds may be float('inf')."""
        now = time.monotonic()
        begin = self._beat is None
        with self._lock:
            self._beat = Beat(state, now, batch, step, limit, patience, grace, now)
            self._write()
        if begin:
            threading.Thread(target=self._live, name='heartbeat', daemon=True).start()

    def _live(self):
        while True:
            time.sleep(INTERVAL)
            with self._lock:
                self._beat = self._beat._replace(alive=time.monotonic())
                self._write()

    def _write(self):
        try:
            os.pwrite(self._file, dumps(self._beat), 0)
        except OSError:
            pass  # a full disk under the scratch folder; the rank works


def of_this_rank(env):
    """The Heartbeat that the launcher of this rank reads, None where it has none."""
    path = env.get('MOBILENET_HEARTBEAT_FILE')
    return _at(path) if path else None


@functools.lru_cache(maxsize=None)
def _at(path):
    return Heartbeat(path)  # one a file: a second one's thread would write over the first one's


def begin(env):
    """The first sign of life of a rank that is about to load its data set and TensorFlow. SIGUSR1
    from then on writes the stacks of its threads on stderr.
    """
    beats = of_this_rank(env)
    if beats is not None:
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        beats.tell('start', 0, 0, STARTING, LOADING, STOP_GRACE)


def dumps(beat):
    return ' '.join(map(str, beat)).ljust(_SIZE - 1).encode() + b'\n'


def loads(text):
    """The Beat of `dumps`; raises ValueError."""
    state, since, batch, step, *seconds = text.split()
    if state not in STATES or len(seconds) != 4:
        raise ValueError(f'{text[:80]!r} is no beat')
    beat = Beat(state, float(since), int(batch), int(step), *map(_seconds, seconds))
    if not float('-inf') < beat.since < float('inf'):
        raise ValueError(f'{since!r} is no time')
    return beat


def _seconds(text):
    value = float(text)
    if value != value:
        raise ValueError('NaN is no number of seconds')
    return value


def read(path):
    """The Beat in a file; None where there is none (yet)."""
    try:
        with open(path, 'rb') as f:
            return loads(f.read(_SIZE).decode('ascii'))
    except (OSError, ValueError):
        return None
