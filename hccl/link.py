"""What the launchers of several servers know of each other.

Each pair of launchers has a TCP connection, to the port below those of the ranks. Twice a second
each sends its whole state, a line of JSON; the newest counts. So nothing has to arrive in an order,
and each comes to the same conclusions from the states of all. The end of a connection, or silence,
means that the other one, or its server, is gone.
"""

import collections
import json
import threading
import time

from hccl import failure, heartbeat
from hccl.link_sockets import Peers

SEND_INTERVAL = 0.5  # seconds
SILENCE = 60.0  # seconds after which a launcher that is connected counts as gone
TELL_INTERVAL = 10.0  # seconds from one line on who is waited for to the next
_LAST_WORDS = 2.0  # seconds for them to arrive
PHASES = ('meeting', 'running', 'ended', 'left')

# What a launcher says of itself. attempt: number of the start, from 0. failures: of this attempt,
# cause: of the one before, both as lists of failure.Failure. beats: {rank: heartbeat.Beat}.
State = collections.namedtuple('State', 'attempt phase failures cause beats')


class Alone:
    """The Link of a launcher that has no others."""

    is_first = True

    def __init__(self, all_ranks):
        self.all_ranks, self.attempt = all_ranks, 0

    def server_of(self, rank):
        return None

    def meet(self, stop, limit):
        return None

    def tell(self, beats, failures):
        pass

    def beats(self):
        return {}

    def failure(self):
        return None

    def agree(self, failures, stop):
        return failure.cause(failures) if failures else None

    def next_attempt(self, cause):
        self.attempt += 1

    def close(self):
        pass


class Link:
    """The launchers of the other servers.

    Args:
      table: rank_table.RankTable; server: this one of it; addresses: {server id: (host, port)} to
        listen and to be reached at; run: bytes that all launchers of the run know.
      say: for lines to the person; silence: seconds, as SILENCE.
    Raises UsageError where the own port is taken.
    """

    def __init__(self, table, server, addresses, run, say, silence=SILENCE):
        ids = [s.server_id for s in table.servers]
        self._me, self._ids, self._say, self._silence = server.server_id, ids, say, silence
        self._ranks_of = {s.server_id: [d.rank_id for d in s.devices] for s in table.servers}
        self.all_ranks = sorted(rank for ranks in self._ranks_of.values() for rank in ranks)
        self._state = State(0, 'meeting', [], [], {})
        self._lost = {}  # server: Failure, of this attempt
        self._changed = threading.Event()
        self._closing = False
        self._peers = Peers(ids, server.server_id, addresses, run, self._parse)
        self._thread = threading.Thread(target=self._send, name='link', daemon=True)
        self._thread.start()

    @property
    def attempt(self):
        return self._state.attempt

    @property
    def is_first(self):
        """Whether this is the first of the servers whose launchers live: it speaks for all."""
        return all(server in self._lost for server in self._ids[: self._ids.index(self._me)])

    def server_of(self, rank):
        """The id of a rank's server, None for no rank."""
        return next((s for s, ranks in self._ranks_of.items() if rank in ranks), None)

    # ---- an attempt, from meeting to agreeing

    def meet(self, stop, limit):
        """Waits until all launchers are there; gives None, or the Failure after `limit` seconds.

        stop: signals.Stop; one that is asked ends the waiting.
        """
        begun = told = time.monotonic()
        while not stop.asked:
            missing = [s for s in self._ids if s != self._me and not self._is_there(s)]
            if not missing:
                self._set(phase='running')
                return None
            for server in missing:
                if self._was_stopped(server):
                    return self._failed(server, 'its launcher has ended')
            waited = time.monotonic() - begun
            texts = '; '.join(f'{s} ({self._peers.problem(s)})' for s in missing)
            if waited > limit:
                return self._failed(missing[0], f'waited {limit:.0f} s for {texts}')
            if time.monotonic() - told >= TELL_INTERVAL:
                told = time.monotonic()
                self._say(f'waiting for the launcher on {texts}')
            time.sleep(0.05)
        return None

    def _is_there(self, server):
        """Whether a launcher is ready for this attempt; one that is ahead takes this one along."""
        state = self._peers.states()[server]
        if state is None or state.phase == 'left' or not self._peers.is_connected(server):
            return False
        if state.attempt > self._state.attempt:
            self._set(attempt=state.attempt)
        return state.attempt == self._state.attempt  # its ranks may have ended already

    def _was_stopped(self, server):
        """Whether a launcher has left while the others start again."""
        state = self._peers.states()[server]
        left = state is not None and state.phase == 'left'
        return left and self._state.attempt > 0 and state.attempt >= self._state.attempt - 1

    def tell(self, beats, failures):
        """What the other launchers shall know: the beats of the ranks here, and who failed."""
        self._set(beats=beats, failures=list(failures))

    def beats(self):
        """{rank: Beat} of the other servers' ranks."""
        known = {}
        for state in self._peers.states().values():
            if state is not None and state.attempt == self._state.attempt:
                known.update(state.beats)
        return known

    def failure(self):
        """What has failed elsewhere in this attempt, or None."""
        self._look_for_lost()
        found = list(self._lost.values())
        for state in self._peers.states().values():
            if state is not None:
                found += state.failures if state.attempt == self._state.attempt else []
                found += state.cause if state.attempt == self._state.attempt + 1 else []
        return failure.cause(found) if found else None

    def agree(self, failures, stop):
        """Ends an attempt: waits for the others' ranks to end; gives the Failure of all servers
        that was the cause, or None. A second signal ends the waiting."""
        self._set(phase='ended', failures=list(failures), beats={})
        while len(stop.asked) < 2 and not all(map(self._has_ended, self._ids)):
            self._look_for_lost()
            time.sleep(0.05)
        elsewhere = self.failure()
        found = list(failures) + ([elsewhere] if elsewhere else [])
        return failure.cause(found) if found else None

    def next_attempt(self, cause):
        """All start again, because of `cause`."""
        self._lost = {}
        self._set(attempt=self._state.attempt + 1, phase='meeting', failures=[], cause=[cause])

    def _has_ended(self, server):
        if server == self._me or server in self._lost:
            return True
        state = self._peers.states()[server]
        if state is None:
            return False
        return state.attempt > self._state.attempt or state.phase in ('ended', 'left')

    def _look_for_lost(self):
        for server, reason in self._peers.gone(self._silence).items():
            state = self._peers.states()[server]
            if server not in self._lost and not (state and state.phase == 'left'):
                self._lost[server] = self._failed(server, f'its launcher is gone: {reason}')

    def _failed(self, server, text):
        """The Failure of a server."""
        return failure.Failure(
            rank=None,
            server=server,
            status=None,
            kind='server',
            message=text,
            time=time.time(),
            batch=None,
            step=None,
            own=True,
            output=None,
        )

    # ---- the states

    def _set(self, **changes):
        new = self._state._replace(**changes)
        urgent = new._replace(beats={}) != self._state._replace(beats={})
        self._state = new
        if urgent:
            self._changed.set()

    def _send(self):
        while not self._closing:
            self._changed.wait(SEND_INTERVAL)
            self._changed.clear()
            self._peers.send(dumps(self._state, time.monotonic()))

    def _parse(self, server, line):
        return loads(line, self._ranks_of[server], time.monotonic())

    def close(self):
        """Says farewell, so that the others do not take this for a loss."""
        self._closing = True
        self._changed.set()
        self._thread.join()
        self._set(phase='left')
        self._peers.send(dumps(self._state, time.monotonic()))
        self._peers.close(_LAST_WORDS)


def dumps(state, now):
    """A State as a line of JSON; times become ages, as the clocks of two servers differ."""
    beats = {}
    for rank, beat in state.beats.items():
        aged = beat._replace(since=now - beat.since, alive=now - beat.alive)
        beats[rank] = heartbeat.dumps(aged).decode().strip()
    fields = {
        'attempt': state.attempt,
        'phase': state.phase,
        'failures': [list(f) for f in state.failures],
        'cause': [list(f) for f in state.cause],
        'beats': beats,
    }
    return json.dumps(fields).encode() + b'\n'


def loads(line, ranks, now):
    """The State of `dumps`, of a server that has `ranks`. Raises ValueError."""
    try:
        fields = json.loads(line.decode())
        beats = {int(rank): heartbeat.loads(text) for rank, text in fields['beats'].items()}
        state = State(
            fields['attempt'],
            fields['phase'],
            [failure.from_list(f) for f in fields['failures']],
            [failure.from_list(f) for f in fields['cause']],
            {r: b._replace(since=now - b.since, alive=now - b.alive) for r, b in beats.items()},
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f'no state: {error!r}')
    if type(state.attempt) is not int or state.phase not in PHASES or set(beats) - set(ranks):
        raise ValueError(f'no state: {line[:80]!r}')
    return state
