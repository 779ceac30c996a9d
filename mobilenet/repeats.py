"""A signal that comes again in the same moment is the same wish: `timeout` sends its own to a
command and to its process group, and a script passes on what its training has got already.
"""

import signal
import time

MOMENT = 1.0  # seconds
MOMENT_OF_KEYS = 0.3  # of Ctrl-C, which a person may well press twice within a second


class Repeats:
    """Tells the signals that are wishes of their own from those that repeat one."""

    def __init__(self):
        self._since = {}  # number: when it came as a wish of its own

    def has(self, number):
        """Whether a signal that comes now repeats one; if not, it begins a moment."""
        now = time.monotonic()
        moment = MOMENT_OF_KEYS if number == signal.SIGINT else MOMENT
        if now - self._since.get(number, -moment) < moment:
            return True
        self._since[number] = now
        return False
