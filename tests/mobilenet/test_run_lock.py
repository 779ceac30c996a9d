"""The lock of a folder: one living owner, whoever asks; a dead one gives way."""

import argparse
import json
import os
import shutil
import subprocess
import sys

import pytest

from mobilenet import run_lock
from mobilenet.errors import Failure, UsageError
from tests.helpers import ROOT

HOLD = (
    'import sys, time\n'
    'from mobilenet.run_lock import Lock\n'
    'Lock(sys.argv[1]).acquire()\n'
    'print("held", flush=True)\n'
    'time.sleep(600)\n'
)


@pytest.fixture
def holder(tmp_path):
    """(folder, a process of its own that holds its lock)."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b'held\n'
    yield str(tmp_path), process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_refused_and_told_who_is_first(holder):
    folder, process = holder
    with pytest.raises(UsageError, match=f'process {process.pid} on .*another --train_dir') as held:
        run_lock.Lock(folder).acquire()
    assert held.value.kind == 'lock'  # of which the launcher keeps no record in that folder


def test_a_killed_owner_gives_way(holder):
    folder, process = holder
    process.kill()
    process.wait()
    lock = run_lock.Lock(folder)
    assert str(process.pid) in lock.acquire()
    assert json.load(open(lock.path))['pid'] == os.getpid()


def test_a_lock_is_removed_at_the_end_and_can_be_taken_again(tmp_path):
    for _ in range(2):
        lock = run_lock.Lock(str(tmp_path))
        assert lock.acquire() is None
        lock.release()
        assert os.listdir(str(tmp_path)) == []
    lock.release()


class Run:
    """What the hook sees of a run."""

    is_main = True

    def __init__(self, folder):
        self.config, self.said = argparse.Namespace(train_dir=folder), []
        self.say = self.said.append


def test_a_lock_deleted_under_the_run_is_taken_anew(tmp_path):
    target = tmp_path / 'target'
    target.mkdir()
    (tmp_path / 'run').symlink_to(target)
    run, hook = Run(str(tmp_path / 'run')), run_lock.RunLock()
    hook.before_graph(run)
    path = os.path.join(run.config.train_dir, run_lock.NAME)
    for lose, words in [(os.remove, path), (lambda _: shutil.rmtree(str(target)), 'run was')]:
        hook.after_loop(run, 1, {}, 1.0)
        assert run.said == [] and json.load(open(path))['pid'] == os.getpid()
        lose(path)
        hook.after_loop(run, 1, {}, 1.0)
        assert words in run.said.pop()
    os.rename(path, path + '.copied')  # as on file systems whose numbers of files change
    shutil.copy(path + '.copied', path)
    hook.after_loop(run, 1, {}, 1.0)
    assert run.said == []


def test_a_run_that_lost_its_lock_to_another_ends(holder):
    folder, process = holder
    hook, run = run_lock.RunLock(), Run(folder)
    os.remove(os.path.join(folder, run_lock.NAME))
    hook.before_graph(run)  # as a second run that was let in
    os.remove(os.path.join(folder, run_lock.NAME))
    write(folder, pid=process.pid, host='elsewhere')
    with pytest.raises(Failure, match='deleted under this run; now .* in use by .*elsewhere'):
        hook.after_loop(run, 1, {}, 1.0)
    hook.end(run, None)
    assert os.listdir(folder) == [run_lock.NAME]


def write(folder, **changes):
    owner = dict(run_lock._this_process(), pid=os.getppid())
    owner['started'] = run_lock._start_of(owner['pid'])
    with open(os.path.join(str(folder), run_lock.NAME), 'w') as f:
        json.dump(dict(owner, **changes), f)


def test_a_file_without_flock_of_a_living_process(tmp_path):
    """As on a file system without such locks."""
    write(tmp_path)
    with pytest.raises(UsageError, match=f'process {os.getppid()} '):
        run_lock.Lock(str(tmp_path)).acquire()


@pytest.mark.parametrize(
    'changes', [{'started': 1}, {'boot': 'another'}, {'pid': 2**22 + 5}, {'pid': 'x'}, {'host': 7}]
)
def test_a_number_given_to_another_process_since(tmp_path, changes):
    write(tmp_path, **changes)
    assert run_lock.Lock(str(tmp_path)).acquire()


def test_another_host_is_refused_with_what_to_do(tmp_path):
    write(tmp_path, host='node7')
    with pytest.raises(UsageError, match='on node7.*delete .*run.lock'):
        run_lock.Lock(str(tmp_path)).acquire()


def test_half_a_lock_is_a_dead_owners(tmp_path):
    for text in ('', '{', 'null', '[' * 4000, '\x00' * 100, '{"pid": -1}'):
        (tmp_path / run_lock.NAME).write_text(text)
        lock = run_lock.Lock(str(tmp_path))
        lock.acquire()
        assert json.load(open(lock.path))['host']
        lock.release()


def test_of_many_at_once_one_has_it(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', HOLD, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(6)
    ]
    try:
        # Those refused end; the one that has it sleeps on.
        said = [p.stdout.readline() for p in processes]
        assert sorted(said) == [b''] * 5 + [b'held\n']
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused(tmp_path, make):
    """And not waited for: nobody writes into that pipe."""
    make(str(tmp_path / run_lock.NAME))
    with pytest.raises(UsageError, match=f'{run_lock.NAME}: '):
        run_lock.Lock(str(tmp_path)).acquire()
