"""Ctrl-C, SIGTERM and SIGHUP as a wish that the running loop ends with."""

import os
import select
import signal
import sys
import threading
import time

from mobilenet.repeats import Repeats

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HEAD_START = 0.1  # seconds that the main thread has to deal with a signal itself


class StopSignal:
    """The first signal finishes the running loop, the second ends the process at once (but see
    Repeats).

    Python runs a handler between two instructions of the main thread, which may wait for a
    session for minutes. But the interpreter also writes the number of each signal into a pipe at
    once. Whoever comes first empties it: the handler, which alone can break into a prompt, or
    after a moment a thread. So each signal is dealt with once.

    `wished`: this rank has got one, and since when (`wished_at`, time.monotonic()). `agreed`: all
    ranks know, and stop after the same loop. Make it in the main thread.
    """

    def __init__(self):
        self.wished = self.agreed = False
        self.wished_at = None
        self._repeats = Repeats()
        self._speaks = not os.environ.get('MOBILENET_HEARTBEAT_FILE')  # else the launcher does
        self.hook = None  # called with a signal's number; true: it is dealt with
        self._pipe, written = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, lambda number, frame: self._deal_with_all())
        threading.Thread(target=self._watch, name='stop signal', daemon=True).start()

    def agree(self, agreed):
        self.agreed = agreed

    def _watch(self):
        while True:
            select.select([self._pipe], [], [])
            time.sleep(_HEAD_START)
            self._deal_with_all()

    def _deal_with_all(self):
        try:
            numbers = os.read(self._pipe, 64)
        except BlockingIOError:
            return  # the other one was first
        for number in numbers:
            if number in SIGNALS:
                self._deal_with(number)

    def _deal_with(self, number):
        if self.hook and self.hook(number):
            return
        if self._repeats.has(number):
            return
        if self.wished:
            self._say('ended at once, at the second signal')
            os._exit(128 + number)
        self.wished_at, self.wished = time.monotonic(), True  # in this order for who looks
        name = signal.Signals(number).name
        self._say(f'{name}: stopping after this loop; a second one ends at once')

    def _say(self, text):
        """A line on the terminal, beginning a new one where a bar is drawn."""
        if not self._speaks:
            return
        try:
            sys.stderr.write(('\n' if sys.stderr.isatty() else '') + text + '\n')
            sys.stderr.flush()
        except (OSError, ValueError, RuntimeError):
            pass  # a stream that is gone, or that the interrupted code was writing to
