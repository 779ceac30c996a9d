"""One start of the ranks of this server, seen through to its end."""

import os
import signal
import sys
import time

from hccl import failure, liveness
from hccl.rank_process import Guard, RankProcess
from mobilenet.awake import Awake

POLL_INTERVAL = 0.05  # seconds
END_GRACE = 3.0  # seconds from SIGTERM to SIGKILL after another rank has failed
STACKS = 0.5  # seconds that ranks have to write down their stacks
STOP_GRACE = 60.0  # seconds a stop may take where no rank says how long its loops are
TELL_INTERVAL = 10.0  # seconds from one line on who is waited for to the next
START_LIMIT = 1800.0  # seconds in which the launchers must have met
BEGIN_LIMIT = 300.0  # seconds from a rank's start to its first sign of life


class Attempt:
    """The ranks of a server, from start to end.

    Args:
      server, server_id: of the rank table, and its name there; argv, cores, log_dir: see `launch`.
      env: the variables of all ranks; scratch: a folder of this attempt.
      stop: signals.Stop; link: the other servers, see link.Link, or link.Alone.
      patience: seconds that a rank may be stopped by a signal while it starts.
    """

    def __init__(self, server, argv, cores, env, log_dir, scratch, stop, link, patience):
        self._server, self._argv, self._cores, self._env = server, argv, cores, env
        self._log_dir, self._scratch, self._stop, self._link = log_dir, scratch, stop, link
        self._server_id = server.server_id
        self._patience, self._moved = patience, {}
        self._ranks, self._failures = [], []
        self._begun = self._told = time.monotonic()
        self._awake = Awake()
        self._ending = None  # what has to be done to end the ranks, once one has failed
        self._passed_on = None  # when a stop was
        self._kill_at = float('inf')

    def run(self):
        """The failures of this server's ranks; none: all have ended with 0."""
        guard = Guard()
        try:
            for device, cores in zip(self._server.devices, self._cores):
                self._ranks.append(self._start(device, cores))
                guard.add(self._ranks[-1])
            self._begun = self._told = time.monotonic()
            while self._see():
                time.sleep(POLL_INTERVAL)
        finally:
            for rank in self._ranks:
                rank.end(signal.SIGKILL)
            while any(rank.poll() is None for rank in self._ranks):
                time.sleep(POLL_INTERVAL)
            guard.close()
        return self._failures

    def _start(self, device, cores):
        rank = device.rank_id
        env = rank_environment(device, cores, self._scratch, self._env)
        output = os.path.join(self._log_dir, f'rank_{rank}.out') if rank else None
        return RankProcess(rank, [sys.executable] + list(self._argv), env, cores, output)

    # ---- while they run

    def _see(self):
        """Looks once at all ranks and does what is to be done; False: all have ended."""
        running = self._running()
        for rank in running:
            if rank.poll():
                self._failures.append(rank.failure(self._server_id))
        running = self._running()
        now = self._look_at_clock()
        beats = {r.rank: r.beat() for r in running}
        beats = {rank: beat for rank, beat in beats.items() if beat}
        self._link.tell(beats, self._failures)
        if self._ending is None:
            if self._failures:
                self._end(running)
            elif running:
                self._look_further(running, self._awake_ones({**self._link.beats(), **beats}), now)
        self._pass_on_stop(running, self._awake_ones(beats), now)
        if len(self._stop.asked) > 1 or now >= self._kill_at:
            for rank in running:
                rank.end(signal.SIGKILL)
        return bool(running)

    def _look_at_clock(self):
        """The time. Where this launcher was stopped, its ranks were as a rule: all begins anew."""
        before, now = self._awake.woke, self._awake.look()
        if self._awake.woke != before:
            self._begun, self._moved = now, {}
            self._passed_on = self._passed_on and now
        return now

    def _awake_ones(self, beats):
        """The beats as if nothing in them was from before this launcher went on after a stop."""
        woke = self._awake.woke
        return {
            rank: beat._replace(since=max(beat.since, woke), alive=max(beat.alive, woke))
            for rank, beat in beats.items()
        }

    def _running(self):
        return [rank for rank in self._ranks if rank.status is None]

    def _look_further(self, running, beats, now):
        """For what is wrong though all ranks here run: elsewhere, or in silence."""
        elsewhere = self._link.failure()
        if elsewhere is not None:
            if elsewhere.kind in ('timeout', 'server'):
                self._ask_for_stacks(running, beats)
            self._end(running)
            return
        late = liveness.overdue(beats, now) or self._start_overdue(beats, now)
        if late is not None:
            self._give_up(running, beats, *late)
        elif now - self._told >= TELL_INTERVAL:
            self._told = now
            ended = [rank.rank for rank in self._ranks if rank.status is not None]
            ranks = [rank for rank in self._link.all_ranks if rank not in ended]
            line = liveness.waiting_for(beats, ranks, now)
            if line and self._link.is_first:
                say(line)

    def _start_overdue(self, beats, now):
        """As liveness.overdue, of ranks that start here: without a beat, or stopped (which loading
        TensorFlow, silent for as long, is not)."""
        running = self._running()
        silent = [r.rank for r in running if r.rank not in beats]
        if silent and now - self._begun > max(BEGIN_LIMIT, self._patience):
            return silent, f'{liveness.names(silent)} not ready after {now - self._begun:.0f} s'
        for rank in running:
            starts = rank.rank not in beats or beats[rank.rank].state == 'start'
            if not starts or not rank.is_stopped():
                self._moved[rank.rank] = now
        still = {r.rank: now - self._moved.get(r.rank, self._begun) for r in running}
        late = [rank for rank, seconds in still.items() if seconds > self._patience]
        return (late, f'{liveness.names(late)} not ready') if late else None

    def _give_up(self, running, beats, late, text):
        """The ranks are stopped or hang: their stacks, then their end."""
        stopped = [rank.rank for rank in running if rank.is_stopped()]
        if stopped:
            late, text = stopped, f'{text}: {liveness.names(stopped)} stopped by a signal'
        self._ask_for_stacks(running, beats)
        rank = late[0] if late else None
        beat = beats.get(rank) or max(beats.values(), key=lambda b: b.batch, default=None)
        self._failures.append(
            failure.Failure(
                rank=rank,
                server=self._link.server_of(rank) or self._server_id,
                status=None,
                kind='timeout',
                message=f'{text}; the stacks of the ranks are in their logs',
                time=time.time(),
                batch=beat and beat.batch,
                step=beat and beat.step,
                own=True,
                output=None,
            )
        )
        self._link.tell({}, self._failures)
        self._end(running)

    def _ask_for_stacks(self, running, beats):
        """Only of ranks that give beats: they have a handler for the signal. A stopped one writes
        its stacks as it goes on."""
        asked = [rank for rank in running if rank.rank in beats]
        for rank in asked:
            rank.signal(signal.SIGUSR1)
            rank.signal(signal.SIGCONT)
        if asked:
            time.sleep(STACKS)

    def _end(self, running):
        self._ending = True
        self._kill_at = time.monotonic() + END_GRACE
        for rank in running:
            # to a rank that is stopping already, one more would mean: at once
            rank.end(signal.SIGTERM if self._passed_on is None else None)

    def _pass_on_stop(self, running, beats, now):
        """Passes a stop on once; after a grace without progress the ranks are ended."""
        if not self._stop.asked or self._ending is not None or not running:
            return
        number = self._stop.asked[0]
        grace = max([beat.grace for beat in beats.values()] or [STOP_GRACE])
        if self._passed_on is None:
            self._passed_on = now
            for rank in running:
                rank.signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
            say(
                f'{signal.Signals(number).name}: stopping after this loop; ended if that takes '
                f'{grace:.0f} s, at once at a second signal'
            )
        working = [b for b in beats.values() if b.state == 'between' and now - b.alive < grace]
        since = max([self._passed_on] + [beat.since for beat in beats.values()])
        if not working and now - since > grace:
            every = {rank: beat._replace(limit=0.0) for rank, beat in beats.items()}
            late, text = liveness.overdue(every, now) or ([], 'no rank has begun')
            self._give_up(
                running, beats, late, f'asked to stop {now - self._passed_on:.0f} s ago: {text}'
            )


def rank_environment(device, cores, scratch, env):
    """The variables of one rank, on top of `env`."""
    env = dict(
        env,
        RANK_ID=str(device.rank_id),
        ASCEND_DEVICE_ID=str(device.device_id),
        DEVICE_ID=str(device.device_id),
        MOBILENET_ERROR_FILE=os.path.join(scratch, f'rank_{device.rank_id}.error'),
        MOBILENET_HEARTBEAT_FILE=os.path.join(scratch, f'rank_{device.rank_id}.beat'),
    )
    if cores is not None:
        env.setdefault('OMP_NUM_THREADS', str(len(cores)))
    env.setdefault('PYTHONUNBUFFERED', '1')  # the last words of a rank that is killed are kept
    env.setdefault('PYTHONFAULTHANDLER', '1')  # a crash inside TensorFlow leaves a traceback
    return env


def say(line):
    """A line on stderr; rank 0 may have left its progress bar in the middle of one."""
    try:
        sys.stderr.write(('\n' if sys.stderr.isatty() else '') + line + '\n')
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # the terminal is gone
