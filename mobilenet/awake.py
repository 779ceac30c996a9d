"""Whether this process itself was stopped: Ctrl-Z and fg, a paused container or virtual machine."""

import time

GAP = 2.0  # seconds from one look to the next that only a stop, or a starved machine, explains


class Awake:
    """For what judges others by a clock: the time of a stop is nobody's fault.

    Call `look` more often than every GAP seconds. `woke`: time.monotonic() when the process last
    went on after a stop, or began.
    """

    def __init__(self):
        self._seen = self.woke = time.monotonic()

    def look(self):
        """Gives time.monotonic()."""
        now = time.monotonic()
        if now - self._seen > GAP:
            self.woke = now
        self._seen = now
        return now
