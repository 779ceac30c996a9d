"""Memory of the pipeline: a bound on what decoding takes at one time, over all threads of the
process, and arrays that TensorFlow takes over as they are.
"""

import contextlib
import threading

import numpy as np

BYTES_AT_ONCE = 256 << 20
ALIGNMENT = 64  # of TensorFlow's tensors; an array that begins elsewhere is copied


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


def aligned_empty(shape, dtype):
    """np.empty that begins at a multiple of 64 bytes."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(count + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + count].view(dtype).reshape(shape)
