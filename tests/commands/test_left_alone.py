"""Whole runs that are left alone: a terminal that goes away, a rank that is stopped."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from hccl import rank_table
from tests.helpers import launches, runs

LONG = ['--max_train_steps=1000000', '--iterations_per_loop=1', '--learning_rate_decay_type=fixed']
LONG += ['--moving_average_decay=0']  # a smaller graph starts earlier


STARTED = []


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    """They would train for hours where a test fails."""
    yield
    while STARTED:
        STARTED.pop().kill()


def start(folder, *arguments, **streams):
    process = subprocess.Popen(
        runs.command('train_loop.py', *runs.SMALL, f'--train_dir={folder}', *LONG, *arguments),
        env=runs.environment(),
        **streams,
    )
    STARTED.append(process)
    return process


def wait_until(process, holds, seconds=500):
    end = time.time() + seconds
    while not holds():
        assert process.poll() is None and time.time() < end
        time.sleep(0.05)


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_a_run_outlives_its_terminal_and_a_hangup_saves(tmp_path):
    """As `train_loop.py 2>&1 | head -1`; later the window is closed."""
    read, write = os.pipe()
    process = start(tmp_path, '--log_every_steps=1', stdout=write, stderr=write)
    os.close(write)
    assert os.read(read, 10)
    os.close(read)
    wait_until(process, lambda: len(lines(tmp_path / 'metrics.jsonl')) > 5)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=300) == 0
    step = runs.metrics(tmp_path)[-1]['step']
    assert step > 5 and (tmp_path / f'model.ckpt-{step}.index').exists()
    assert f'stopped after {step} of' in (tmp_path / 'train.log').read_text()


def test_a_folder_deleted_under_a_run_is_made_anew_and_its_own(tmp_path):
    """A second run is refused there, and so is a resume with other flags."""
    folder = tmp_path / 'run'
    process = start(folder, '--save_every_steps=5')
    wait_until(process, lambda: len(lines(folder / 'metrics.jsonl')) > 5)
    os.rename(str(folder), str(tmp_path / 'gone'))  # at once: it may be writing
    shutil.rmtree(str(tmp_path / 'gone'), ignore_errors=True)
    wait_until(process, lambda: len(lines(folder / 'metrics.jsonl')) > 5)
    # Whichever is missed first: the folder, or the lock in one that metrics.jsonl has made anew.
    said = re.escape(str(folder)) + '(/run.lock)? was deleted or moved away under the run'
    assert re.search(said, '\n'.join(lines(folder / 'train.log')))
    second = start(folder, stderr=subprocess.PIPE)
    assert f'is in use by process {process.pid} on' in second.communicate()[1].decode()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) == 0 and second.returncode == 2
    steps = [line['step'] for line in runs.metrics(folder)]
    assert steps == list(range(steps[0], steps[-1] + 1)) and steps[0] > 5
    assert (folder / f'model.ckpt-{steps[-1]}.index').exists()
    other = start(folder, '--weight_decay=0.5', stderr=subprocess.PIPE)
    assert '--allow_changed=weight_decay' in other.communicate()[1].decode()


def ranks_of(launcher):
    """{rank: process id} of a launcher's children."""
    found = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat') as f, open(f'/proc/{pid}/environ', 'rb') as g:
                parent = int(f.read().rsplit(')', 1)[1].split()[1])
                env = dict(entry.partition('=')[::2] for entry in os.fsdecode(g.read()).split('\0'))
        except OSError:
            continue
        if parent == launcher.pid and env.get('RANK_ID'):
            found[int(env['RANK_ID'])] = int(pid)
    return found


def has_step_since(metrics, moment):
    try:
        return json.loads(lines(metrics)[-1])['time'] > moment
    except (IndexError, ValueError):
        return False


def test_after_a_rank_was_stopped_all_start_again_from_the_last_checkpoint(tmp_path):
    """With the stacks of both in their logs."""
    with open(str(tmp_path / 'stderr'), 'wb') as stderr:
        process = start(
            tmp_path,
            '--rank_table=hccl_2p.json',
            '--step_timeout=8',
            '--max_restarts=1',
            '--save_every_steps=4',
            stderr=stderr,
        )
    try:
        metrics, failures = tmp_path / 'metrics.jsonl', tmp_path / 'failures.jsonl'
        wait_until(process, lambda: len(lines(metrics)) > 8)
        first = ranks_of(process)
        os.kill(first[1], signal.SIGSTOP)
        wait_until(process, lambda: lines(failures), seconds=120)  # without the flag 300 or more
        (failure,) = map(json.loads, lines(failures))
        assert failure['rank'] == 1 and failure['status'] == 1 and failure['step'] >= 8
        assert 'rank 1 stopped by a signal' in failure['error']

        old = set(first.values())
        wait_until(process, lambda: len(set(ranks_of(process).values()) - old) == 2)
        assert not old & set(ranks_of(process).values())
        moment = time.time()
        wait_until(process, lambda: has_step_since(metrics, moment))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 0
    finally:
        process.kill()
        process.wait()
    for name in ('train.log', 'train_rank_1.log'):
        assert 'most recent call first' in (tmp_path / name).read_text()
    assert '(restart 1 of 1)' in (tmp_path / 'stderr').read_text()
    log = (tmp_path / 'train.log').read_text()
    assert 'model.ckpt-' in log.split('(most recent call first)')[-1]


def test_two_servers_start_again_with_a_launcher_that_was_killed(tmp_path):
    """Two launchers on two addresses of this machine, one folder, as on a shared file system."""
    table = rank_table.merge(
        [rank_table.make(f'127.0.0.{s}', [(0, f'192.168.0.{s}')]) for s in (1, 2)]
    )
    rank_table.dump(table, str(tmp_path / 'cluster.json'))
    port = launches.free_base_port()

    def start_server(number):
        with open(str(tmp_path / f'stderr_{number}'), 'ab') as stderr:
            return start(
                tmp_path,
                f'--rank_table={tmp_path}/cluster.json',
                f'--server_id=127.0.0.{number}',
                f'--base_port={port}',
                '--max_restarts=1',
                '--save_every_steps=4',
                stderr=stderr,
            )

    one, two = start_server(1), start_server(2)
    try:
        wait_until(one, lambda: len(lines(tmp_path / 'metrics.jsonl')) > 5)
        (rank,) = ranks_of(two).values()
        two.kill()
        two.wait()
        wait_until(one, lambda: not launches.is_running(rank))  # it has given its port back
        again = start_server(2)
        try:
            wait_until(one, lambda: lines(tmp_path / 'failures.jsonl'))
            failure = json.loads(lines(tmp_path / 'failures.jsonl')[0])
            assert failure['error'].startswith('its launcher is gone')
            moment = failure['time'] + 1
            wait_until(one, lambda: has_step_since(tmp_path / 'metrics.jsonl', moment))
            one.send_signal(signal.SIGTERM)
            assert (one.wait(timeout=300), again.wait(timeout=300)) == (0, 0)
        finally:
            again.kill()
            again.wait()
    finally:
        one.kill()
        one.wait()
    assert 'server 127.0.0.2 failed: its launcher is gone' in (tmp_path / 'stderr_1').read_text()
