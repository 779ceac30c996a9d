"""Starts one process for each device of this server and sees them through.

A command that is given a rank table and finds no RANK_ID in its environment calls `launch`, which
runs the same command once a device, with the environment HCCL (and, on a host, TensorFlow's
collectives) needs. Over several servers the same command is run on each of them.

What one would fall over:
- A rank whose peer has died waits in its collective for ever, deaf to SIGTERM. So after a failure
  the others get SIGTERM, and after END_GRACE seconds SIGKILL.
- The ranks have sessions of their own: Ctrl-C at the terminal reaches the launcher alone, which
  passes it on once. Were it to reach the ranks as well, each would take it as the second one.
- `kill -9` of the launcher must leave nothing behind: see hccl/rank_process.py.
"""

import hashlib
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time

from hccl import rank_table
from hccl.cores import assign_cores
from hccl.rank_process import Guard, RankProcess
from mobilenet.errors import UsageError

DEFAULT_BASE_PORT = 29600
END_GRACE = 3.0  # seconds from SIGTERM to SIGKILL after another rank has failed
POLL_INTERVAL = 0.05  # seconds


def is_rank(env=None):
    """Whether this process is a rank already: of `launch`, or of a cluster's own launcher."""
    return bool((os.environ if env is None else env).get('RANK_ID'))


def rank_of(env):
    """(rank, world size, addresses) of this process, from its environment; addresses (host:port of
    every rank) is [] where MOBILENET_RANK_ADDRESSES is not set. Raises UsageError."""
    try:
        rank, world_size = int(env['RANK_ID']), int(env.get('RANK_SIZE') or 1)
    except ValueError:
        raise UsageError(
            'RANK_ID={}, RANK_SIZE={}: both are whole numbers'.format(
                env['RANK_ID'], env.get('RANK_SIZE')
            )
        )
    if not 0 <= rank < world_size:
        raise UsageError(
            'RANK_ID=%d, RANK_SIZE=%d: the ranks of that size are 0 to %d'
            % (rank, world_size, world_size - 1)
        )
    addresses = [a.strip() for a in env.get('MOBILENET_RANK_ADDRESSES', '').split(',') if a.strip()]
    if addresses and len(addresses) != world_size:
        raise UsageError(
            'MOBILENET_RANK_ADDRESSES has %d addresses, RANK_SIZE is %d: one a rank'
            % (len(addresses), world_size)
        )
    return rank, world_size, addresses


def launch(
    table_path,
    argv,
    server_id=None,
    bind_cores='auto',
    log_dir='.',
    base_port=DEFAULT_BASE_PORT,
    env=None,
):
    """Runs `sys.executable argv...` as every rank of this server; returns the exit status.

    Rank 0 has the terminal; what another rank R prints goes to log_dir/rank_R.out. Returns 0 when
    all ranks exited with 0; else 2 where the rank that failed first exited with 2, or 1; the last
    line on stderr then names that rank and its error. SIGINT and SIGTERM are passed on to the
    ranks, which are waited for; a second one kills them. Call it in the main thread.

    Args:
      table_path: a rank table, or the name of a ready one in hccl/.
      server_id: which of the table's servers this is (default: looked up by address).
      bind_cores: see hccl.cores.assign_cores.
      base_port: with several servers, rank R listens on port base_port + R of its server.

    Raises:
      UsageError: a wrong table, server, port or set of cores; nothing has been started then.
    """
    env = os.environ if env is None else env
    table = rank_table.load(table_path)
    server = rank_table.find_server(table, server_id)
    cores = assign_cores(bind_cores, len(server.devices))
    try:
        os.makedirs(log_dir, exist_ok=True)
    except OSError as e:
        raise UsageError(f'{log_dir}: {e.strerror}; give another folder for the logs')
    common = shared_environment(table, log_dir, base_port, env)
    scratch = tempfile.mkdtemp(prefix='mobilenet_launch_')
    try:
        with Stop() as stop:
            return run_ranks(server, argv, cores, dict(env, **common), log_dir, scratch, stop)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def shared_environment(table, log_dir, base_port, env):
    """The variables that are the same for all ranks of a launch."""
    path = os.path.abspath(table.path)
    if table.template == 'group_list':
        # With this template HCCL takes RANK_ID for the name of a pod, so it is given version 1.0.
        path = os.path.join(os.path.abspath(log_dir), 'rank_table.json')
        rank_table.dump(table, path)
    return {
        'RANK_TABLE_FILE': path,
        'RANK_SIZE': str(table.world_size),
        'JOB_ID': env.get('JOB_ID') or job_id(table),
        'MOBILENET_RANK_ADDRESSES': ','.join(rank_addresses(table, base_port)),
    }


def job_id(table):
    """A number: new for each launch on one server; of several servers, the same on all of them."""
    seed = os.urandom(8) if len(table.servers) == 1 else rank_table.dumps(table).encode()
    return str(int(hashlib.sha256(seed).hexdigest(), 16) % 10**10)


def rank_addresses(table, base_port):
    """'host:port' of each rank in order, for TensorFlow's own collectives."""
    if len(table.servers) == 1:
        return ['127.0.0.1:%d' % port for port in free_ports(table.world_size)]
    if not 1 <= base_port <= 65536 - table.world_size:
        raise UsageError(
            '--base_port %d leaves no ports for %d ranks; give one from 1024 to %d'
            % (base_port, table.world_size, 65536 - table.world_size)
        )
    addresses = []
    for server in table.servers:
        host = rank_table.server_address(server)
        host = f'[{host}]' if ':' in host else host
        addresses += ['%s:%d' % (host, base_port + device.rank_id) for device in server.devices]
    return addresses


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


def rank_environment(device, cores, scratch, env):
    """The variables of one rank, on top of `env`."""
    env = dict(
        env,
        RANK_ID=str(device.rank_id),
        ASCEND_DEVICE_ID=str(device.device_id),
        DEVICE_ID=str(device.device_id),
        MOBILENET_ERROR_FILE=os.path.join(scratch, 'rank_%d.error' % device.rank_id),
    )
    if cores is not None:
        env.setdefault('OMP_NUM_THREADS', str(len(cores)))
    env.setdefault('PYTHONUNBUFFERED', '1')  # the last words of a rank that is killed are kept
    env.setdefault('PYTHONFAULTHANDLER', '1')  # a crash inside TensorFlow leaves a traceback
    return env


class Stop:
    """SIGINT, SIGTERM and SIGHUP while the ranks run: `asked` lists those that came.

    Signals that were ignored (nohup, a shell's background job) stay so.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.asked = []

    def __enter__(self):
        self._old = {number: signal.getsignal(number) for number in self.SIGNALS}
        for number, handler in self._old.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, lambda number, frame: self.asked.append(number))
        return self

    def __exit__(self, *unused):
        for number, handler in self._old.items():
            signal.signal(number, handler)


def run_ranks(server, argv, cores, env, log_dir, scratch, stop):
    """Starts the ranks of `server` and waits for them; returns the exit status of the launch."""
    ranks = []
    guard = Guard()
    try:
        for device, cores_of_rank in zip(server.devices, cores):
            output = None
            if device.rank_id != 0:
                output = os.path.join(log_dir, 'rank_%d.out' % device.rank_id)
            rank_env = rank_environment(device, cores_of_rank, scratch, env)
            ranks.append(
                RankProcess(
                    device.rank_id,
                    [sys.executable] + list(argv),
                    rank_env,
                    cores_of_rank,
                    output,
                    rank_env['MOBILENET_ERROR_FILE'],
                )
            )
            guard.add(ranks[-1])
        failed = wait_for(ranks, stop)
    finally:
        for rank in ranks:
            rank.signal(signal.SIGKILL)
        while any(rank.poll() is None for rank in ranks):
            time.sleep(POLL_INTERVAL)
        guard.close()
    if failed is None:
        return 0
    say(failure_line(failed, len(ranks), stop))
    return 2 if failed.status == 2 else 1


def wait_for(ranks, stop):
    """Waits until all ranks have ended; returns the one that failed first, or None.

    When one has failed, the others are ended. A stop is passed on once; the second one kills.
    """
    failed, kill_at, passed_on = None, None, False
    while True:
        running = [rank for rank in ranks if rank.status is None]
        ended = [rank for rank in running if rank.poll() is not None]
        running = [rank for rank in running if rank.status is None]
        if failed is None and any(rank.status for rank in ended):
            failed = first_failure(ended)
            kill_at = time.monotonic() + END_GRACE
            if not passed_on:  # to a rank that is stopping already, one more would mean: at once
                for rank in running:
                    rank.signal(signal.SIGTERM)
        if not running:
            return failed
        if stop.asked and not passed_on and failed is None:
            passed_on = True
            number = signal.SIGINT if stop.asked[0] == signal.SIGINT else signal.SIGTERM
            for rank in running:
                rank.signal(number)
        if len(stop.asked) > 1 or (kill_at is not None and time.monotonic() >= kill_at):
            for rank in running:
                rank.signal(signal.SIGKILL)
        time.sleep(POLL_INTERVAL)


def first_failure(ended):
    """Of ranks that ended in the same moment, the one the others followed: one that was killed,
    else the one that was the first to write down its error."""
    failed = [rank for rank in ended if rank.status != 0]
    return min(
        failed, key=lambda rank: (rank.status >= 0, rank.error_time() or float('inf'), rank.rank)
    )


def failure_line(failed, num_ranks, stop):
    """The last line of a launch that failed: the rank, how it ended, its error, where to read."""
    line = 'rank %d failed with %s' % (failed.rank, failed.describe_end())
    if len(stop.asked) > 1 and failed.status == -signal.SIGKILL:
        line += f': killed at the second {signal.Signals(stop.asked[1]).name}'
    elif stop.asked and failed.status in (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT):
        line += ': stopped before its training loop had begun'
    elif failed.error():
        line += ': ' + failed.error()[:1000]
    elif failed.status == -signal.SIGKILL:
        line += ': killed from outside (by hand, or for want of memory: see dmesg)'
    if num_ranks > 1:
        line += '; the other ranks were ended'
    if failed.output_path is not None:
        line += f'; its output is in {failed.output_path}'
    return line


def say(line):
    """A line on stderr; rank 0 may have left its progress bar in the middle of one."""
    try:
        sys.stderr.write(('\n' if sys.stderr.isatty() else '') + line + '\n')
        sys.stderr.flush()
    except OSError:
        pass  # the terminal is gone
