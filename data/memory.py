"""A bound on the memory that decoding takes at one time, over all threads of the process."""

import contextlib
import threading

BYTES_AT_ONCE = 256 << 20


class Budget:
    """Bytes that may be in use at one time."""

    def __init__(self, limit):
        self.limit, self._used, self._changed = limit, 0, threading.Condition()

    @contextlib.contextmanager
    def hold(self, count):
        """Waits until `count` bytes are free. What is larger than the whole budget goes alone."""
        count = min(count, self.limit)
        with self._changed:
            self._changed.wait_for(lambda: self._used + count <= self.limit)
            self._used += count
        try:
            yield
        finally:
            with self._changed:
                self._used -= count
                self._changed.notify_all()


budget = Budget(BYTES_AT_ONCE)
