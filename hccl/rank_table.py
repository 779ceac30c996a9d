"""Rank tables: which device of which server is which rank. Read, made, merged, written; and which server is this one.

`load` reads and checks (hccl/rank_table_format.py has the formats), `make` builds the table of one server, `merge` puts
several servers into one table, `dump` writes. Nothing here needs TensorFlow or an NPU.
"""
import json
import os
import socket
import tempfile

from hccl.rank_table_format import Device, RankTable, Server, parse, to_json  # noqa: F401 (part of this interface)
from mobilenet.errors import UsageError

READY_TABLES = os.path.dirname(os.path.abspath(__file__))


def find(path):
    """The path of a table: itself where it exists, else, for a bare file name, the ready table in hccl/."""
    if os.path.exists(path):
        return path
    if os.path.basename(path) == path:
        ready = os.path.join(READY_TABLES, path)
        if os.path.isfile(ready):
            return ready
    ready = sorted(name for name in os.listdir(READY_TABLES) if name.endswith('.json'))
    raise UsageError('rank table %s: no such file; give its path, one of the ready tables (%s), or make one with '
                     'scripts/make_rank_table.py' % (path, ', '.join(ready)))


def load(path):
    """The RankTable in the file `path`. Raises UsageError, which names the file and the field that is wrong."""
    path = find(path)
    try:
        with open(path, encoding='utf-8-sig') as f:
            data = json.load(f)
    except OSError as e:
        raise UsageError('rank table %s: %s; give a file that can be read' % (path, e.strerror))
    except (ValueError, RecursionError) as e:
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise UsageError('rank table %s: not JSON: %s; correct it (comments are not allowed)' % (path, reason))
    return parse(data, path)


def dumps(table):
    """The table as text, a device a line."""
    data = to_json(table)
    text = json.dumps(data, indent=2)
    for device in (device for server in data['server_list'] for device in server['device']):
        text = text.replace(json.dumps(device, indent=2).replace('\n', '\n' + ' ' * 8), json.dumps(device))
    return text + '\n'


def dump(table, path):
    """Writes the table, all at once: a training that reads the file never sees half of it."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix='.rank_table')
        with os.fdopen(handle, 'w') as f:
            f.write(dumps(table))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as e:
        raise UsageError('rank table %s: cannot be written: %s; give another path' % (path, e.strerror))


def make(server_id, device_ips):
    """The table of one server. device_ips: [(device_id, address or None)], in order of rank. Raises UsageError."""
    devices = tuple(Device(device_id, address, rank, None, {}) for rank, (device_id, address) in enumerate(device_ips))
    return _checked(RankTable('1.0', (Server(server_id, None, devices, {}),), (), len(devices), 'server_list', None))


def merge(tables):
    """One table of all servers of `tables`, in their order; ranks are numbered anew. Raises UsageError.

    SuperPods of the same id become one. Tables of version 1.0 and 1.2 do not mix: the networks differ.
    """
    versions = sorted(set(table.version for table in tables))
    if len(versions) != 1:
        raise UsageError('rank tables of versions %s cannot be merged; use tables of one version' % ' and '.join(versions))
    servers, pods, rank = [], {}, 0
    for table in tables:
        for server in table.servers:
            devices = []
            for device in server.devices:
                devices.append(device._replace(rank_id=rank))
                rank += 1
            servers.append(server._replace(devices=tuple(devices)))
        for pod_id, members in table.super_pods:
            pods[pod_id] = pods.get(pod_id, ()) + members
    return _checked(RankTable(versions[0], tuple(servers), tuple(pods.items()), rank, 'server_list', None))


def _checked(table):
    """What is written must be readable: the same checks, on what the file will hold."""
    return parse(json.loads(json.dumps(to_json(table))), '(to be written)')


def server_address(server):
    """Where the server's processes are reached by those of other servers."""
    return server.host_ip or server.server_id


def find_server(table, server_id=None):
    """The Server that this machine is: by `server_id`, else the only one, else by this machine's addresses.

    Raises UsageError where that is not exactly one.
    """
    names = ', '.join(server.server_id for server in table.servers)
    if server_id is not None:
        matches = [server for server in table.servers if server_id in (server.server_id, server.host_ip)]
        if not matches:
            raise UsageError('--server_id %s is not in rank table %s; it has %s' % (server_id, table.path, names))
        return matches[0]
    if len(table.servers) == 1:
        return table.servers[0]
    matches = [server for server in table.servers if is_local(server_address(server)) or is_local(server.server_id)]
    if len(matches) != 1:
        what = 'no server' if not matches else 'more than one server (%s)' % ', '.join(s.server_id for s in matches)
        raise UsageError('%s of rank table %s has an address of this machine; say which one this is with --server_id '
                         '(%s)' % (what, table.path, names))
    return matches[0]


def is_local(name):
    """Whether an address or host name is this machine's. Only an address of one's own can be bound to."""
    if name == socket.gethostname():
        return True
    try:
        candidates = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    for family, kind, protocol, _, address in candidates:
        try:
            with socket.socket(family, kind, protocol) as s:
                s.bind(address)
            return True
        except OSError:
            continue
    return False


def own_address():
    """This machine's address towards the network, '127.0.0.1' where it has none. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(('192.0.2.1', 9))  # a UDP connect only picks the route; the address is one for documentation
            return s.getsockname()[0]
        except OSError:
            return '127.0.0.1'
