"""Progress of a long command on stderr: a tqdm bar on a terminal, a plain line now and then
elsewhere.
"""

import sys
import time

from mobilenet import text

PLAIN_INTERVAL_SECONDS = 10.0


class Progress:
    """`with Progress(total, 'train', 'image') as progress: progress.update(5);
    progress.note('skipped …')`
    """

    def __init__(self, total, description, unit):
        self._total, self._description, self._unit = total, description, unit
        # What was done before this start counts, but not for the rate.
        self._done, self._done_now, self._started = 0, 0, time.monotonic()
        self._next_line = self._started + PLAIN_INTERVAL_SECONDS
        self._bar = None
        if sys.stderr.isatty():
            import tqdm

            self._bar = tqdm.tqdm(
                total=total,
                desc=description,
                unit=unit,
                dynamic_ncols=True,
                unit_scale=total >= 10000,
            )

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self._bar is not None:
            self._bar.close()

    def update(self, count):
        self._done += count
        self._done_now += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() >= self._next_line or (self._done == self._total and count):
            elapsed = time.monotonic() - self._started
            rate = self._done_now / max(elapsed, 1e-9)
            print(
                f'{self._description}: {self._done} of {self._total} {self._unit}s '
                f'({100 * self._done // max(self._total, 1)} %), {rate:.0f} {self._unit}s/s, '
                f'{(self._total - self._done) / max(rate, 1e-9):.0f} s left',
                file=sys.stderr,
                flush=True,
            )
            self._next_line = time.monotonic() + PLAIN_INTERVAL_SECONDS

    def jump(self, count):
        """As `update`, of what was done at an earlier start."""
        self._done += count
        if self._bar is not None:
            self._bar.initial += count
            self._bar.update(count)

    def note(self, line):
        """A line of its own, above the bar."""
        line = text.printable(line)
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
