"""A loop that does not end: noticed, looked at, ended. Tells a launcher where the rank is."""

import faulthandler
import os
import signal
import sys
import threading
import time

from mobilenet import command, log
from mobilenet.awake import Awake
from mobilenet.hooks import Hook

FIRST_LOOP = 1800.0  # seconds, at least: a device compiles the graph then
SHORTEST = 300.0  # seconds that auto gives a loop, at least
GENEROUS = 20.0  # auto: as often the slowest loop so far, step by step
WORK = 1800.0  # seconds that saving and the like may take, at least
STOP_GRACE = 30.0  # seconds, at least, in which a loop has to end once a stop is asked for
LOOK_INTERVAL = 0.5  # seconds


class StepTimeout(Hook):
    """Ends the process with 1 where a loop takes too long, with the stacks of all threads in the
    rank's log. Under a launcher the rank only tells where it is: one judges who sees all ranks.

    Args:
      seconds: that a loop may take, or 'auto'.
      heartbeat: with `tell`, see hccl/heartbeat.py; None where no launcher reads it.
    """

    def __init__(self, seconds, heartbeat):
        self._seconds = None if seconds == 'auto' else seconds
        self._heartbeat = heartbeat
        self._slowest = None  # seconds a step
        self._since = self._limit = None  # of the loop that runs
        self._stacks, self._awake = None, Awake()

    def before_graph(self, run):
        self._stacks = open(log.path_of(run.config.train_dir, run.rank), 'a')  # for the process
        faulthandler.register(signal.SIGUSR1, self._stacks, all_threads=True)
        self._tell(run, 'meet', self._longest_wait())
        threading.Thread(target=self._watch, args=(run,), name='timeout', daemon=True).start()

    def session_ready(self, run):
        self._tell_work(run)

    def around_loop(self, run, n, proceed):
        self._limit = self.limit(n)
        self._tell(run, 'loop', self._limit)
        self._since = time.monotonic()
        try:
            return proceed(n)
        finally:
            spent = time.monotonic() - max(self._since, self._awake.woke)
            self._since = None
            self._slowest = max(self._slowest or 0.0, spent / n)
            self._tell_work(run)

    def after_loop(self, run, n, values, seconds):
        self._tell_work(run)  # the position is a new one

    def limit(self, n):
        """Seconds that the next loop, of n steps, may take."""
        if self._slowest is None:
            return self._longest_wait()
        return self._seconds or max(SHORTEST, GENEROUS * self._slowest * n)

    def _longest_wait(self):
        return max(FIRST_LOOP, self._seconds or 0.0)

    def grace(self, n):
        """Seconds in which a loop of n steps has to end once a stop is asked for."""
        return max(STOP_GRACE, 3 * (self._slowest or 0.0) * n)

    def _tell_work(self, run):
        self._tell(run, 'between', max(WORK, self._seconds or 0.0))

    def _tell(self, run, state, limit):
        if self._heartbeat is not None:
            patience = self._seconds or SHORTEST
            grace = self.grace(run.config.longest_loop)
            self._heartbeat.tell(state, run.batch, run.step, limit, patience, grace)

    def _watch(self, run):
        told = False
        while True:
            time.sleep(LOOK_INTERVAL)
            now, since = self._awake.look(), self._since
            if since is None or self._heartbeat is not None:
                continue
            since = max(since, self._awake.woke)
            if now - since > self._limit:
                self._expire(run, f'has not ended after {now - since:.0f} s')
            if run.stop.wished:
                grace = self.grace(run.config.longest_loop)
                if not told:
                    told = True
                    run.say(f'the loop is ended by force if it takes another {grace:.0f} s')
                if now - max(since, run.stop.wished_at) > grace:
                    self._expire(run, f'has not ended {grace:.0f} s after the signal')

    def _expire(self, run, what):
        faulthandler.dump_traceback(self._stacks, all_threads=True)
        message = (
            f'the loop from batch {run.batch} {what}; the stacks of all threads are in '
            f'{self._stacks.name}'
        )
        run.logger.error(message)
        sys.stderr.write(('\n' if sys.stderr.isatty() else '') + f'train_loop.py: {message}\n')
        command.tell_launcher(
            status=1, kind='timeout', record=None, message=message, batch=run.batch, step=run.step
        )
        os._exit(1)
