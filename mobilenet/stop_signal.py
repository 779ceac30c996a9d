"""Ctrl-C and SIGTERM as a wish that the running loop ends with."""

import os
import signal


class StopSignal:
    """Ctrl-C and SIGTERM finish the running loop; a second one ends the process at once.

    `wished`: this rank has got one. `agreed`: all ranks know, and stop after the same loop.
    """

    def __init__(self):
        self.wished = self.agreed = False
        self.hook = None  # called with a signal's number; true: it is dealt with
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number, frame):
        del frame
        if self.hook and self.hook(number):
            return
        if self.wished:
            os._exit(128 + number)
        self.wished = True

    def agree(self, values):
        self.agreed = values['stop_agreed'] > 0 if 'stop_agreed' in values else self.wished
