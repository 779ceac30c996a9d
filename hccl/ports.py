"""Where the ranks, and the launchers of several servers, listen."""

import errno
import random
import socket

from hccl import rank_table
from mobilenet.errors import UsageError


def rank_addresses(table, base_port):
    """'host:port' of each rank in order, for TensorFlow's own collectives."""
    if len(table.servers) == 1:
        return [f'127.0.0.1:{port}' for port in free_ports(table.world_size)]
    check_range(table, base_port)
    addresses = []
    for server in table.servers:
        host = rank_table.server_address(server)
        host = f'[{host}]' if ':' in host else host
        addresses += [f'{host}:{base_port + device.rank_id}' for device in server.devices]
    return addresses


def launcher_addresses(table, base_port):
    """{server id: (host, port)} of the launchers: the port below those of the ranks."""
    check_range(table, base_port)
    return {s.server_id: (rank_table.server_address(s), base_port - 1) for s in table.servers}


def check_range(table, base_port):
    """Raises UsageError where the ranks' ports, and the one below them, are no ports."""
    if not 2 <= base_port <= 65536 - table.world_size:
        raise UsageError(
            f'--base_port {base_port} leaves no ports for {table.world_size} ranks; give one from '
            f'1025 to {65536 - table.world_size}'
        )


def check_free(server, base_port):
    """Raises UsageError where another program listens on a port of this server's ranks."""
    for device in server.devices:
        port = base_port + device.rank_id
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC does
            try:
                s.bind(('', port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise UsageError(
                        f'port {port}, of rank {device.rank_id}, is taken: end what listens there, '
                        'or give another --base_port on all servers'
                    )


def free_ports(count):
    """Ports nobody listens on. They are looked for below those the system gives to outgoing
    connections, which could take one in the seconds until the rank listens on it."""
    try:
        with open('/proc/sys/net/ipv4/ip_local_port_range') as f:
            end = int(f.read().split()[0])
    except (OSError, ValueError, IndexError):
        end = 32768
    start = max(1024, end - 16384)
    candidates = list(range(start, end)) if end - start > 50 * count else []
    random.SystemRandom().shuffle(candidates)
    held = []
    try:
        while len(held) < count:
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                s.bind(('127.0.0.1', candidates.pop() if candidates else 0))
                held.append(s)
            except OSError:
                s.close()
        return [s.getsockname()[1] for s in held]
    finally:
        for s in held:
            s.close()
