"""Rank tables: which device of which server is which rank, and which server is this one.

`load` reads and checks (hccl/rank_table_format.py has the formats), `make` builds the table of one
server, `merge` puts several servers into one table, `dump` writes. Nothing here needs TensorFlow
or an NPU.
"""

import collections
import json
import os
import socket
import sys
import time

from hccl.rank_table_checks import notes  # noqa: F401  Asked of a table that `load` gave.
from hccl.rank_table_format import Device, NotReady, RankTable, Server, parse
from mobilenet import json_files, text
from mobilenet.errors import UsageError

READY_TABLES = os.path.dirname(os.path.abspath(__file__))


def find(path):
    """The path of a table: itself where it exists, else, for a bare name, that in hccl/."""
    if os.path.exists(path):
        return path
    if os.path.basename(path) == path:
        ready = os.path.join(READY_TABLES, path)
        if os.path.isfile(ready):
            return ready
    ready = sorted(name for name in os.listdir(READY_TABLES) if name.endswith('.json'))
    raise UsageError(
        'rank table {}: no such file; give its path, one of the ready tables ({}), or '
        'make one with scripts/make_rank_table.py'.format(path, ', '.join(ready))
    )


def load(path, timeout=0.0):
    """The RankTable in the file `path`; one that is not written yet is waited for: its status is
    "initializing", or it is no JSON.

    timeout: seconds. Raises UsageError, which names the file and the field.
    """
    deadline, told = time.monotonic() + timeout, False
    while True:
        try:
            return _read(path)
        except NotReady:
            if time.monotonic() >= deadline:
                raise
            if not told:
                told = True
                print(f'waiting up to {timeout:g} s for rank table {path}', file=sys.stderr)
            time.sleep(min(0.5, timeout))


def check_environment(env, table_path, needs_table, timeout=0.0):
    """Raises UsageError where RANK_ID's rank and the rank table do not go together.

    env: has RANK_ID; table_path: of --rank_table, or None; needs_table: HCCL reads RANK_TABLE_FILE;
    timeout: as for `load`.
    """
    size = int(env.get('RANK_SIZE') or 1)
    said = f'RANK_ID={env["RANK_ID"]}, RANK_SIZE={env.get("RANK_SIZE") or "(not set)"}'
    # Where one rank is asked for, and on a host, nobody reads RANK_TABLE_FILE.
    alone = env.get('RANK_SIZE') == '1' or (size == 1 and not needs_table)
    for what, path in (
        ('--rank_table', table_path),
        ('RANK_TABLE_FILE', env.get('RANK_TABLE_FILE')),
    ):
        if not path or (alone and what == 'RANK_TABLE_FILE'):
            continue
        ranks = load(path, timeout).world_size
        if ranks != size:
            raise UsageError(
                f'{said} in the environment, but {what}={path} has {ranks} ranks: unset RANK_ID, '
                'so that the ranks are started from the table, or set both alike'
            )
    if needs_table and size > 1 and not env.get('RANK_TABLE_FILE'):
        raise UsageError(
            f'{said}, but RANK_TABLE_FILE is not set: HCCL finds the other ranks by it; '
            '--rank_table without RANK_ID sets all of them'
        )


def _read(path):
    path = find(path)
    try:
        data = json_files.loads(text.decode(text.read_bytes(path, text.MAX_BYTES)))
    except text.Unreadable as e:
        raise UsageError(f'rank table {path}: {e}; give a file that can be read')
    except ValueError as e:
        reason = text.one_line(str(e)) or type(e).__name__
        raise NotReady(  # half of a table that is being written
            f'rank table {path}: not JSON: {reason}; correct it (comments are not allowed)'
        )
    return parse(data, path)


def to_json(table):
    """The table as HCCL's JSON object: version 1.2 where it is a 1.2 table, else 1.0. The
    group_list template is not written any more."""
    servers = []
    for server in table.servers:
        devices = []
        for device in server.devices:
            entry = collections.OrderedDict(device_id=str(device.device_id))
            for field in ('super_device_id', 'device_ip'):
                if getattr(device, field) is not None:
                    entry[field] = getattr(device, field)
            entry['rank_id'] = str(device.rank_id)
            entry.update(sorted(device.extra.items()))
            devices.append(entry)
        entry = collections.OrderedDict(server_id=server.server_id)
        if server.host_ip is not None:
            entry['host_ip'] = server.host_ip
        entry['device'] = devices
        entry.update(sorted(server.extra.items()))
        servers.append(entry)
    top = collections.OrderedDict()
    top['version'] = table.version
    top['status'] = 'completed'
    top['server_count'] = str(len(servers))
    top['server_list'] = servers
    if table.super_pods:
        top['super_pod_list'] = [
            {'super_pod_id': pod_id, 'server_list': [{'server_id': name} for name in members]}
            for pod_id, members in table.super_pods
        ]
    return top


def dumps(table):
    """The table as text, a device a line."""
    data = to_json(table)
    whole = json.dumps(data, indent=2)
    for device in (device for server in data['server_list'] for device in server['device']):
        spread = json.dumps(device, indent=2).replace('\n', '\n' + ' ' * 8)
        whole = whole.replace(spread, json.dumps(device))
    return whole + '\n'


def dump(table, path):
    """Writes the table, all at once: a training that reads the file never sees half of it."""
    try:
        text.write_text(path, dumps(table))
    except OSError as e:
        raise UsageError(f'rank table {path}: cannot be written: {e.strerror}; give another path')


def make(server_id, device_ips):
    """The table of one server. device_ips: [(device_id, address or None)], in order of rank.

    Raises UsageError.
    """
    devices = tuple(
        Device(device_id, address, rank, None, {})
        for rank, (device_id, address) in enumerate(device_ips)
    )
    server = Server(server_id, None, devices, {})
    return _checked(RankTable('1.0', (server,), (), len(devices), 'server_list', None))


def merge(tables):
    """One table of all servers of `tables`, in their order; ranks are numbered anew.

    SuperPods of the same id become one. Tables of version 1.0 and 1.2 do not mix: the networks
    differ. Raises UsageError.
    """
    versions = sorted({table.version for table in tables})
    if len(versions) != 1:
        raise UsageError(
            'rank tables of versions {} cannot be merged; use tables of one version'.format(
                ' and '.join(versions)
            )
        )
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
    return _checked(
        RankTable(versions[0], tuple(servers), tuple(pods.items()), rank, 'server_list', None)
    )


def _checked(table):
    """What is written must be readable: the same checks, on what the file will hold."""
    return parse(json.loads(json.dumps(to_json(table))), '(to be written)')


def server_address(server):
    """Where the server's processes are reached by those of other servers."""
    return server.host_ip or server.server_id


def find_server(table, server_id=None):
    """The Server that this machine is: by `server_id`, else the only one, else by address.

    Raises UsageError where that is not exactly one.
    """
    names = ', '.join(server.server_id for server in table.servers)
    if server_id is not None:
        matches = [s for s in table.servers if server_id in [s.host_ip] + _names(s)]
        if not matches:
            raise UsageError(
                f'--server_id {server_id} is not in rank table {table.path}; it has {names}'
            )
        return matches[0]
    if len(table.servers) == 1:
        return table.servers[0]
    matches = [s for s in table.servers if any(is_local(name) for name in _names(s))]
    if len(matches) != 1:
        what = 'no server'
        if matches:
            what = 'more than one server ({})'.format(', '.join(s.server_id for s in matches))
        raise UsageError(
            f'{what} of rank table {table.path} has an address of this machine; say which one this '
            f'is with --server_id ({names})'
        )
    return matches[0]


def _names(server):
    """Names and addresses of the server's own processes; a container has one of its own."""
    container = server.extra.get('container_ip')
    return [server_address(server), server.server_id] + (
        [container] if isinstance(container, str) and container else []
    )


def is_local(name):
    """Whether an address or host name is this machine's: only one's own can be bound to."""
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
            s.connect(('192.0.2.1', 9))  # with UDP this only picks the route
            return s.getsockname()[0]
        except OSError:
            return '127.0.0.1'
