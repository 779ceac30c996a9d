"""Drills on processes: killed, stopped, started twice, left by their terminal or their clock."""

import contextlib
import json
import os
import signal
import socket
import time

from drills.kinds import kind
from hccl import cores, rank_table


@kind()
def kill(drill):
    """kill -9 at any moment, while starting too, twice."""
    for _ in range(2):
        training = drill.start()
        if drill.dice.random() < 0.3:
            time.sleep(drill.dice.random() * 6)
        else:
            training.wait_for_step(drill.moment())
        training.process.kill()
        training.finish()
    drill.finish()


@kind(ranks=2)
def kill_rank(drill):
    """kill -9 of one of two ranks: the launcher names it, and no process is left."""
    training, rank = hit_rank(drill, signal.SIGKILL)
    drill.expect(training, 1, f'rank {rank} failed with signal SIGKILL')
    drill.finish()


@kind(ranks=2)
def stop_rank(drill):
    """SIGSTOP of one of two ranks: --step_timeout ends the run and names it."""
    training, rank = hit_rank(drill, signal.SIGSTOP, '--step_timeout=4')
    drill.expect(training, 1, f'rank {rank}.* stopped by a signal')
    drill.finish()


@kind(ranks=2)
def restart(drill):
    """kill -9 of one of two ranks under --max_restarts: the run arrives by itself."""
    training, rank = hit_rank(drill, signal.SIGKILL, '--max_restarts=1')
    drill.expect(training, 0, 'restart 1 of 1')
    drill.compare(drill.folder)
    with open(os.path.join(drill.folder, 'failures.jsonl')) as f:
        told = [json.loads(line)['rank'] for line in f]
    drill.check(told == [rank], f'failures.jsonl tells of ranks {told}, not of {rank}')


@kind(ranks=2)
def taken_port(drill):
    """Of two servers one finds its port taken: said at once; then both start again."""
    table = os.path.join(drill.scratch, 'cluster.json')
    servers = [rank_table.make(f'127.0.0.{n}', [(0, f'192.168.0.{n}')]) for n in (1, 2)]
    rank_table.dump(rank_table.merge(servers), table)
    base = free_ports(drill.dice)
    # The cores of two ranks on one server: bits depend on how many there are.
    places = zip((1, 2), cores.assign_cores('auto', 2))
    flags = [[f'--rank_table={table}', f'--base_port={base}', f'--server_id=127.0.0.{n}',
              f'--bind_cores={",".join(map(str, place))}'] for n, place in places]  # fmt: skip
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', base))
        taken.listen(1)
        drill.expect(drill.start(ranks=1, flags=flags[0]), 2, f'port {base}.* is taken')
    both = [drill.start(ranks=1, flags=f) for f in flags]
    for training in both[::-1]:
        drill.expect(training, 0)
    drill.compare(drill.folder)


def hit_rank(drill, number, *flags):
    """Sends a signal to one of two ranks at some moment; gives (the Training, the rank)."""
    rank, training = drill.dice.randrange(2), drill.start(flags=list(flags))
    pid = training.rank_process(rank)
    training.wait_for_step(drill.moment() // 2)
    if pid is None or training.process.poll() is not None:
        drill.wrong.append(f'ended before signal {number}: {training.last_line()}')
    else:
        os.kill(pid, number)
    return training, rank


def free_ports(dice):
    """A base for --base_port where three ports in a row are free."""
    while True:
        base = dice.randrange(20000, 30000, 10)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + 3):
                    for host in ('127.0.0.1', '127.0.0.2'):
                        stack.enter_context(socket.socket()).bind((host, port))
            except OSError:
                continue
        return base


@kind(ranks=2)
def kill_launcher(drill):
    """kill -9 of the launcher of two ranks: they end with it."""
    training = drill.start()
    training.wait_for_step(drill.moment())
    training.process.kill()
    drill.expect(training, -signal.SIGKILL)
    drill.finish()


@kind()
def terminate(drill):
    """SIGTERM, SIGINT or SIGHUP: saved, and the same command goes on."""
    training = drill.start()
    training.wait_for_step(drill.moment())
    training.process.send_signal(drill.dice.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
    drill.expect(training, 0, 'the same command goes on from there|done: ')
    drill.finish()


@kind()
def second_run(drill):
    """A second run on the folder is refused and names the first, which goes on."""
    first = drill.start()
    first.wait_for_step(2)
    lock = os.path.exists(os.path.join(drill.folder, 'run.lock'))
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        if lock:
            drill.expect(drill.start(), 2, f'in use by process {first.process.pid} ')
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    drill.expect(first, 0)
    drill.compare(drill.folder)


@kind()
def closed_pipe(drill):
    """The terminal's reader goes away (`2>&1 | head -1`), or is full: training goes on."""
    if drill.dice.random() < 0.5:
        reading, writing = os.pipe()
        training = drill.start(stderr=writing)
        os.close(writing)
        training.first_byte(reading)
        os.close(reading)
    else:
        with open('/dev/full', 'w') as full:
            training = drill.start(stderr=full)
    drill.expect(training, 0)
    drill.compare(drill.folder)


@kind()
def clock_set_back(drill):
    """The clock is set back by a day while it trains, and again before it goes on."""
    folder = os.path.join(drill.scratch, 'clock')
    os.makedirs(folder)
    with open(os.path.join(folder, 'sitecustomize.py'), 'w') as f:
        f.write(
            'import time\n'
            'now, start = time.time, time.monotonic()\n'
            'time.time = lambda: now() - 86400.0 * (time.monotonic() - start > 2)\n'
        )
    path = [p for p in [os.environ.get('PYTHONPATH'), folder] if p]
    env = {'PYTHONPATH': os.pathsep.join(path)}
    training = drill.start(env=env)
    training.wait_for_step(drill.moment())
    training.process.kill()
    training.finish()
    drill.finish(env=env)
