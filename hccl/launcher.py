"""Starts one process for each device of this server and sees them through.

A command that is given a rank table and finds no RANK_ID in its environment calls `launch`, which
runs the same command once a device, with the environment HCCL (and, on a host, TensorFlow's
collectives) needs. Over several servers the same command is run on each of them.

What one would fall over:
- A rank whose peer has died waits in its collective for ever, deaf to SIGTERM. So after a failure
  the others get SIGTERM, and after some seconds SIGKILL (hccl/attempt.py).
- A rank that hangs, or was stopped, ends nothing by itself. So each tells where it is
  (hccl/heartbeat.py), and the launcher judges from all of them who is late (hccl/liveness.py).
- Another server may be gone without a word. So its launcher is asked (hccl/link.py).
- The ranks have sessions of their own: Ctrl-C at the terminal reaches the launcher alone, which
  passes it on once. Were it to reach the ranks as well, each would take it as the second one.
- `kill -9` of the launcher must leave nothing behind: see hccl/rank_process.py.
"""

import hashlib
import os

from hccl import link, ports, rank_table, scratch, signals
from hccl.attempt import BEGIN_LIMIT, START_LIMIT, Attempt, say
from hccl.cores import assign_cores
from hccl.supervise import supervise
from mobilenet import appending, flags
from mobilenet.errors import UsageError

DEFAULT_BASE_PORT = 29600


def is_rank(env):
    """Whether this process is a rank already: of `launch`, or of a cluster's own launcher."""
    return bool(env.get('RANK_ID'))


def rank_of(env):
    """(rank, world size, addresses) of this process, from its environment; addresses (host:port of
    every rank) is [] where MOBILENET_RANK_ADDRESSES is not set. Raises UsageError."""
    try:
        rank, world_size = int(env['RANK_ID']), int(env.get('RANK_SIZE') or 1)
    except ValueError:
        raise UsageError(
            f'RANK_ID={env["RANK_ID"]}, RANK_SIZE={env.get("RANK_SIZE")}: both are whole numbers'
        )
    if world_size < 1:
        raise UsageError(f'RANK_SIZE={world_size}: there is at least one rank')
    if not 0 <= rank < world_size:
        raise UsageError(
            f'RANK_ID={rank}, RANK_SIZE={world_size}: the ranks of that size are 0 to '
            f'{world_size - 1}'
        )
    addresses = [a.strip() for a in env.get('MOBILENET_RANK_ADDRESSES', '').split(',') if a.strip()]
    if addresses and len(addresses) != world_size:
        raise UsageError(
            f'MOBILENET_RANK_ADDRESSES has {len(addresses)} addresses, RANK_SIZE is {world_size}: '
            'one a rank'
        )
    return rank, world_size, addresses


def check_alone(env):
    """Raises UsageError where RANK_SIZE tells of other ranks, and no RANK_ID which this is."""
    if (env.get('RANK_SIZE') or '1') != '1':
        raise UsageError(
            f'RANK_SIZE={env["RANK_SIZE"]} in the environment, but RANK_ID is not set: unset it to '
            'train on one device, or give --rank_table, which sets both for each rank'
        )


def launch(
    table_path,
    argv,
    server_id=None,
    bind_cores='auto',
    log_dir='.',
    base_port=DEFAULT_BASE_PORT,
    max_restarts=0,
    step_timeout=None,
    start_limit=START_LIMIT,
):
    """Runs `sys.executable argv...` as every rank of this server; returns the exit status.

    Rank 0 has the terminal; what another rank R prints is added to log_dir/rank_R.out. Returns 0
    when all ranks exited with 0; else 2 where the rank that failed exited with 2, or 1; the last
    line on stderr then names that rank and its error, and so does a line of log_dir/failures.jsonl.
    SIGINT, SIGTERM and SIGHUP are passed on to the ranks, which are waited for; a second one kills
    them. Call it in the main thread.

    Args:
      table_path: a rank table, or the name of a ready one in hccl/.
      server_id: which of the table's servers this is (default: looked up by address).
      bind_cores: see hccl.cores.assign_cores.
      base_port: with several servers, rank R listens on port base_port + R of its server, and the
        launchers on the one below base_port.
      max_restarts: how often all ranks are started again after a failure that may pass.
      step_timeout: seconds that a rank, or another server's launcher, may be silent (None: 60 for a
        launcher; how long a loop may take is told by the ranks, see hccl/heartbeat.py).
      start_limit: seconds in which the launchers must have met.

    Raises:
      UsageError: a wrong table, server, port or set of cores; nothing has been started then.
    """
    table = rank_table.load(table_path)
    server = rank_table.find_server(table, server_id)
    cores = assign_cores(bind_cores, len(server.devices))
    check_logs(log_dir, [device.rank_id for device in server.devices])
    with scratch.folder() as folder, signals.Stop() as stop:
        others = open_link(table, server, base_port, step_timeout, os.environ)

        def start():
            """Each start has ports, a job id and a scratch folder of its own."""
            place = os.path.join(folder, f'start_{others.attempt}')
            os.mkdir(place)
            shared = shared_environment(table, log_dir, base_port, os.environ)
            common = dict(os.environ, **shared)
            begin = step_timeout or BEGIN_LIMIT
            return Attempt(server, argv, cores, common, log_dir, place, stop, others, begin).run()

        try:
            return supervise(
                others, start, stop, max_restarts, start_limit, log_dir, server.server_id
            )
        finally:
            others.close()


def idle_flags(config, table):
    """Lines on flags of a training that do nothing with so few ranks or servers."""
    given = [name for name in flags.SEVERAL_RANKS if getattr(config, name)]
    lines = [f'--{name} does nothing on one rank' for name in given if table.world_size == 1]
    if len(table.servers) == 1 and config.base_port != DEFAULT_BASE_PORT:
        lines.append('--base_port does nothing on one server: its ports are free ones')
    return lines


def check_logs(log_dir, ranks):
    """Makes the folder of the logs. Raises UsageError where these ranks cannot write there."""
    try:
        os.makedirs(log_dir, exist_ok=True)
    except OSError as e:
        raise UsageError(f'{log_dir}: {e.strerror}; give another folder for the logs')
    for name in ['failures.jsonl'] + [f'rank_{rank}.out' for rank in ranks if rank]:
        appending.check(os.path.join(log_dir, name))


def open_link(table, server, base_port, step_timeout, env):
    """The Link to the launchers of the table's other servers; checks this server's ports."""
    if len(table.servers) == 1:
        return link.Alone(list(range(table.world_size)))
    addresses = ports.launcher_addresses(table, base_port)
    ports.check_free(server, base_port)
    run = f'{env.get("JOB_ID")} {rank_table.dumps(table)}'.encode()
    silence = link.SILENCE if step_timeout is None else min(max(step_timeout, 5.0), link.SILENCE)
    return link.Link(table, server, addresses, run, say, silence)


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
        'MOBILENET_RANK_ADDRESSES': ','.join(ports.rank_addresses(table, base_port)),
    }


def job_id(table):
    """A number: new for each launch on one server; of several servers, the same on all of them."""
    seed = os.urandom(8) if len(table.servers) == 1 else rank_table.dumps(table).encode()
    return str(int(hashlib.sha256(seed).hexdigest(), 16) % 10**10)
