"""The connections between launchers: each sends lines to all, and keeps the newest of each."""

import errno
import hashlib
import json
import socket
import threading
import time

from mobilenet.awake import Awake
from mobilenet.errors import UsageError

_PATIENCE = 5.0  # seconds to connect, and for a line to be taken
_RETRY = 1.0  # seconds from one attempt to connect to the next
_LONGEST = 1 << 20  # bytes of a line


class Peers:
    """The launchers of the other servers. The later in `ids` connects to the earlier.

    Args:
      ids: of all servers, in order; me: this one's; addresses: {id: (host, port)}; run: bytes that
        only launchers of this run send; parse(id, line): gives what a line says, or raises
        ValueError.
    Raises UsageError where the own port is taken.
    """

    def __init__(self, ids, me, addresses, run, parse):
        self._me, self._parse, self._run = me, parse, hashlib.sha256(run).hexdigest()
        self._peers = {server: _Peer(addresses[server]) for server in ids if server != me}
        self._lock, self._closing, self._awake = threading.Lock(), False, Awake()
        earlier = ids[: ids.index(me)]
        self._listener = None
        if len(earlier) + 1 < len(ids):
            self._listener = _listen(*addresses[me])
            self._start(self._accept)
        for server in earlier:
            self._start(self._connect, server)
        for server in ids[len(earlier) + 1 :]:
            self._start(self._peers[server].resolve)

    def states(self):
        """{id: the newest that it said, or None}."""
        return {server: peer.state for server, peer in self._peers.items()}

    def is_connected(self, server):
        return self._peers[server].socket is not None

    def problem(self, server):
        """Why there is no connection, in words."""
        return self._peers[server].problem

    def gone(self, silence):
        """{id: reason} of those that were connected and are not, or say nothing for too long."""
        now, found = self._awake.look(), {}
        for server, peer in self._peers.items():
            if peer.heard is None:
                continue
            silent = now - max(peer.heard, self._awake.woke)
            if peer.socket is None:
                found[server] = peer.problem
            elif silent > silence:
                found[server] = f'no word from it for {silent:.0f} s'
        return found

    def send(self, line):
        """Sends to all that are connected; one that does not take it is dropped."""
        for peer in self._peers.values():
            connection = peer.socket
            if connection is not None:
                try:
                    connection.sendall(line)
                except OSError as error:
                    peer.drop(connection, _words(error))

    def close(self, patience):
        """Ends the connections once the others have read all, or after `patience` seconds."""
        self._closing = True
        if self._listener is not None:
            self._listener.close()
        connections = [peer.socket for peer in self._peers.values() if peer.socket is not None]
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        end = time.monotonic() + patience
        while time.monotonic() < end and any(p.socket is not None for p in self._peers.values()):
            time.sleep(0.02)
        for peer in self._peers.values():
            peer.drop(peer.socket, 'closed')

    def _start(self, target, *args):
        threading.Thread(target=target, args=args, name='link', daemon=True).start()

    def _hello(self, server):
        return json.dumps({'server': server, 'run': self._run}).encode() + b'\n'

    def _accept(self):
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                time.sleep(0.1)
                continue
            connection.settimeout(_PATIENCE)
            self._start(self._welcome, connection)

    def _welcome(self, connection):
        """Finds out which launcher has connected; another program is sent away."""
        lines = _lines(connection)
        try:
            hello = json.loads(next(lines, b'').decode())
            server = hello['server']
            known = hello['run'] == self._run and server in self._peers
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            known = False
        if known:
            self._hear(server, connection, lines)
        connection.close()

    def _connect(self, server):
        peer = self._peers[server]
        while not self._closing:
            try:
                connection = socket.create_connection(peer.address, _PATIENCE)
                connection.sendall(self._hello(self._me))
            except (OSError, UnicodeError) as error:
                peer.problem = '{}:{}: {}'.format(*peer.address, _words(error))
            else:
                self._hear(server, connection, _lines(connection))
            time.sleep(_RETRY)

    def _hear(self, server, connection, lines):
        """Keeps the newest of what a launcher says until it says no more."""
        peer, problem = self._peers[server], 'it has closed the connection'
        with self._lock:
            if peer.socket is not None:
                peer.drop(peer.socket, 'connected anew')
            peer.state, peer.socket = None, connection
        try:
            for line in lines:
                peer.state, peer.heard = self._parse(server, line), time.monotonic()
        except (OSError, ValueError) as error:
            problem = _words(error)
        peer.drop(connection, problem)
        connection.close()


class _Peer:
    """One other launcher: its connection and the newest that it said."""

    def __init__(self, address):
        self.address, self.socket, self.state, self.heard = address, None, None, None
        self.problem = 'it has not connected yet'

    def resolve(self):
        """Finds out whether its name means anything: it is the one to connect, and could not."""
        try:
            socket.getaddrinfo(*self.address)
        except OSError as error:
            self.problem = f'{self.address[0]}: {_words(error)}; {self.problem}'

    def drop(self, connection, problem):
        """Ends a connection, if it is still the one."""
        if connection is None or connection is not self.socket:
            return
        self.socket, self.problem = None, problem
        try:
            connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads, which closes it
        except OSError:
            pass


def _listen(host, port):
    """A socket that listens there; on all addresses where the host's is not one of this machine."""
    for place in (host, ''):
        try:
            found = socket.getaddrinfo(
                place or None, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
            )
            family, kind, protocol, _, address = found[0]
            listener = socket.socket(family, kind, protocol)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
            return listener
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UsageError(
                    f'port {port} of {host} is taken: end the other run, or give another '
                    '--base_port on all servers'
                )
            failed = error
    raise UsageError(f'cannot listen on port {port}: {_words(failed)}; give another --base_port')


def _lines(connection):
    """The lines that arrive, as bytes. Silence is no error; a line without end is: ValueError."""
    begun = b''
    while True:
        try:
            data = connection.recv(65536)
        except socket.timeout:
            continue
        if not data:
            return
        *whole, begun = (begun + data).split(b'\n')
        yield from whole
        if len(begun) > _LONGEST:
            raise ValueError('a line without end')


def _words(error):
    return getattr(error, 'strerror', None) or str(error) or type(error).__name__
