"""Launchers of two servers, on two addresses of this machine."""

import os
import re
import signal
import socket
import time

import pytest

from tests.helpers.launches import (
    DEAF,
    PATIENCE,
    SOON,
    STOPPABLE,
    free_base_port,
    is_taken,
    two_servers,
)

SERVERS = ('127.0.0.1', '127.0.0.2')


@pytest.fixture
def cluster(start, tmp_path):
    """Starts the launcher of a server: cluster(0, script, …)."""
    table, port = two_servers(tmp_path), free_base_port()

    def start_server(number, script, **options):
        options.setdefault('base_port', port)
        options['constants'] = dict(SOON, **options.get('constants', {}))
        return start(
            script, folder=f'server_{number}', table=table, server_id=SERVERS[number], **options
        )

    start_server.port = port
    return start_server


@pytest.mark.parametrize('dead', [0, 1])
def test_a_dead_launcher_ends_the_run_on_the_other_server(cluster, dead):
    both = [cluster(number, DEAF) for number in range(2)]
    for number, launch in enumerate(both):
        launch.wait_ready(2 * number, 2 * number + 1)
    both[dead].process.kill()
    living = both[1 - dead]
    status, line = living.finish()
    assert status == 1
    assert line.startswith(f'server {SERVERS[dead]} failed: its launcher is gone')
    assert living.left() == [] and both[dead].left() == []
    assert living.failures()[0]['rank'] is None


def test_a_stopped_launcher_is_noticed_by_its_silence(cluster):
    both = [cluster(number, DEAF, step_timeout=5.0) for number in range(2)]
    for number, launch in enumerate(both):
        launch.wait_ready(2 * number, 2 * number + 1)
    both[1].process.send_signal(signal.SIGSTOP)
    status, line = both[0].finish()
    assert status == 1
    said = r'server 127\.0\.0\.2 failed: its launcher is gone: no word from it for (\d+) s'
    assert int(re.match(said, line).group(1)) >= 5
    both[1].process.send_signal(signal.SIGCONT)
    assert both[1].finish()[0] == 1 and both[1].left() == []


def test_a_failing_rank_is_named_on_both_servers_and_all_start_again(cluster):
    script = """
with open(f'starts_{RANK}', 'a') as f:
    f.write('.')
first = os.path.getsize(f'starts_{RANK}') == 1
note('ready', os.getpid())
if RANK == 3 and first:
    for ready in ('../server_0/ready_0', '../server_0/ready_1', 'ready_2'):
        while not os.path.exists(ready):
            time.sleep(0.02)
    fail('no more', step=7)
if first:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(300)
"""
    both = [cluster(number, script, max_restarts=1) for number in range(2)]
    ends = [launch.finish() for launch in both]
    assert [end[0] for end in ends] == [0, 0], [launch.stderr() for launch in both]
    for launch, where in zip(both, (' on 127.0.0.2', '')):
        (line,) = launch.stderr().splitlines()
        assert line.startswith(f'rank 3{where} failed with exit status 1: no more; ')
        assert line.endswith('restart 1 of 1)')
    assert both[0].read('starts_0') == both[1].read('starts_2') == '..'
    assert [f['step'] for f in both[0].failures()] == [7]
    assert not os.path.exists(os.path.join(both[1].folder, 'logs', 'failures.jsonl'))


def test_a_launcher_that_was_killed_may_come_back(cluster):
    """The others wait for it where restarts are left."""
    script = (
        """
if os.path.exists('again'):
    sys.exit(0)
"""
        + DEAF
    )
    both = [cluster(number, script, max_restarts=2) for number in range(2)]
    for number, launch in enumerate(both):
        launch.wait_ready(2 * number, 2 * number + 1)
    for launch in both:
        open(os.path.join(launch.folder, 'again'), 'w').close()
    both[1].process.kill()
    both[0].wait_until(lambda: 'its launcher is gone' in both[0].stderr())
    again = cluster(1, script, max_restarts=2)
    assert both[0].finish()[0] == 0, both[0].stderr()
    assert again.finish()[0] == 0


def test_a_stopped_rank_is_named_on_both_servers(cluster):
    script = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
beat('loop', 4, patience=2.5)
note('ready', os.getpid())
time.sleep(300)
"""
    both = [cluster(number, script, constants={'liveness.FROZEN': 2.5}) for number in range(2)]
    for number, launch in enumerate(both):
        launch.wait_ready(2 * number, 2 * number + 1)
    os.kill(int(both[1].read('ready_2')), signal.SIGSTOP)
    lines = [launch.finish()[1] for launch in both]
    assert lines[0].startswith('rank 2 on 127.0.0.2 failed with a timeout: '), lines
    assert lines[1].startswith('rank 2 failed with a timeout: '), lines
    assert all(launch.left() == [] for launch in both)


# Ranks that agree on a stop, as those of a training do: here by a file.
AGREEING = STOPPABLE.replace(
    'while not stops:', "while not stops and not os.path.exists('../stop'):"
).replace('time.sleep(0.3)', "open('../stop', 'w'); time.sleep(0.3)")


@pytest.mark.parametrize('seconds', [0, 4.0])
def test_a_stop_on_one_server_ends_both_well(cluster, seconds):
    """Also after all servers were suspended, for longer than a launcher may be silent."""
    both = [cluster(number, AGREEING, constants={'link.SILENCE': 2.5}) for number in range(2)]
    for number, launch in enumerate(both):
        launch.wait_ready(2 * number, 2 * number + 1)
    every = [[launch.process.pid, *launch.started] for launch in both]
    for pid in sum(every, []) if seconds else []:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pids in every if seconds else []:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.5)
    both[1].process.send_signal(signal.SIGTERM)
    assert [launch.finish()[0] for launch in both] == [0, 0]


@pytest.mark.parametrize('number', [0, 1])
def test_a_silent_server_at_the_start_is_named_and_given_up(cluster, number):
    launch = cluster(
        number, DEAF, start_limit=1.5, constants={'link.TELL_INTERVAL': 0.3}, max_restarts=0
    )
    status, line = launch.finish()
    other = SERVERS[1 - number]
    assert status == 1
    assert f'waiting for the launcher on {other} (' in launch.stderr().splitlines()[0]
    assert line.startswith(f'server {other} failed: waited 2 s for {other} (')
    reason = 'it has not connected yet' if number == 0 else 'Connection refused'
    assert reason in line


def test_a_stop_while_waiting_for_the_other_server(cluster):
    launch = cluster(0, DEAF, constants={'link.TELL_INTERVAL': 0.1})
    launch.wait_until(lambda: 'waiting' in launch.stderr())
    launch.process.send_signal(signal.SIGINT)
    assert launch.finish() == (1, 'stopped before its ranks were started')


@pytest.mark.parametrize('offset, whose', [(-1, 'of 127.0.0.1'), (1, 'of rank 1')])
def test_a_taken_port_is_named(cluster, offset, whose):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one of before may linger
        taken.bind(('127.0.0.1', cluster.port + offset))
        taken.listen(1)
        launch = cluster(0, DEAF)
        status, line = launch.finish()
    assert status == 2 and f'port {cluster.port + offset}' in line and whose in line
    assert '--base_port' in line


def test_a_stranger_at_the_port_changes_nothing(cluster):
    launch = cluster(0, STOPPABLE)
    strangers = []
    for words in (
        b'GET / HTTP/1.0\r\n\r\n',
        b'{"server": "127.0.0.2", "run": "0"}\n',
        b'\xff\n',
        b'',
    ):
        launch.wait_until(lambda: is_taken(cluster.port - 1))  # the launcher listens
        strangers.append(socket.create_connection(('127.0.0.1', cluster.port - 1), PATIENCE))
        strangers[-1].sendall(words)
    other = cluster(1, STOPPABLE)
    launch.wait_ready(0, 1)
    other.wait_ready(2, 3)
    for one in (launch, other):
        one.process.send_signal(signal.SIGTERM)
    assert [one.finish()[0] for one in (launch, other)] == [0, 0]
    for stranger in strangers:
        stranger.close()
