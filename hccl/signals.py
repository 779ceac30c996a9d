"""The signals that ask a launcher to stop."""

import signal

from mobilenet.repeats import Repeats


class Stop:
    """SIGINT, SIGTERM and SIGHUP while the ranks run: `asked` lists those that came
    (but see Repeats).

    Signals that were ignored (nohup, a shell's background job) stay so.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.asked, self._repeats = [], Repeats()

    def __enter__(self):
        self._old = {number: signal.getsignal(number) for number in self.SIGNALS}
        for number, handler in self._old.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, self._ask)
        return self

    def _ask(self, number, frame):
        if not self._repeats.has(number):
            self.asked.append(number)

    def __exit__(self, *unused):
        for number, handler in self._old.items():
            signal.signal(number, handler)
