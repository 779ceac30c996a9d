"""Launchers as processes under test; their ranks are small scripts without TensorFlow."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time

from hccl import rank_table
from tests.helpers import ROOT

# Seconds for what takes one on an idle machine. What should have been ended sleeps for longer.
PATIENCE = 120.0
# For ranks that are deaf: nothing comes of waiting longer before they are killed.
SOON = {'attempt.END_GRACE': 0.3, 'supervise.PAUSE': 0.3}
DRIVER = textwrap.dedent("""
    import importlib, json, os, sys
    from hccl import launcher
    from mobilenet.errors import UsageError
    options = json.loads(sys.argv[1])
    for name, value in options.pop('constants', {}).items():
        module, name = name.split('.')
        setattr(importlib.import_module('hccl.' + module), name, value)
    try:
        sys.exit(launcher.launch(argv=sys.argv[2:], log_dir='logs', **options))
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
""")
PRELUDE = textwrap.dedent("""
    import json, os, signal, subprocess, sys, time
    RANK = int(os.environ['RANK_ID'])
    def note(name, text=''):
        with open('%s_%d.tmp' % (name, RANK), 'w') as f:
            f.write(str(text))
        os.rename('%s_%d.tmp' % (name, RANK), '%s_%d' % (name, RANK))
    def fail(message, status=1, **fields):
        # as mobilenet/command.py does
        error = dict({'kind': 'error', 'status': status, 'time': time.time()}, message=message)
        error.update(fields)
        with open(os.environ['MOBILENET_ERROR_FILE'], 'w') as f:
            json.dump(error, f)
        sys.exit(status)
    def beat(state, batch, limit=1e9, patience=1e9, grace=30.0):
        # as mobilenet/step_timeout.py does
        import faulthandler
        from hccl import heartbeat
        if not beats:
            beats.append(heartbeat.of_this_rank(os.environ))
            faulthandler.register(signal.SIGUSR1, file=open('stacks_%d' % RANK, 'w'))
        beats[0].tell(state, batch, 10 * batch, limit, patience, grace)
    beats = []
""")
# A rank as train_loop.py is one: a stop is noted, the loop finished, the checkpoint saved.
STOPPABLE = textwrap.dedent("""
    stops = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stops.append(number))
    note('ready', os.getpid())
    while not stops:
        time.sleep(0.02)
    time.sleep(0.3)
    note('saved', stops)
""")
# A rank in a collective whose peer is gone: deaf, and with a helper process of its own.
DEAF = textwrap.dedent("""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])
    note('helper', helper.pid)
    note('ready', os.getpid())
    time.sleep(300)
""")


class Launch:
    """A launcher process under test in a folder of its own."""

    def __init__(self, folder, script, table='hccl_2p.json', env=None, prefix=(), **options):
        folder.mkdir(exist_ok=True)
        self.folder = str(folder)
        (folder / 'rank.py').write_text(PRELUDE + script)
        (folder / 'driver.py').write_text(DRIVER)
        options['table_path'] = table
        environment = {
            k: v for k, v in os.environ.items() if k not in ('RANK_ID', 'JOB_ID', 'OMP_NUM_THREADS')
        }
        environment.update(env or {}, PYTHONPATH=ROOT)
        self.errors = open(os.path.join(self.folder, 'stderr'), 'wb')
        self.process = subprocess.Popen(
            list(prefix) + [sys.executable, 'driver.py', json.dumps(options), 'rank.py'],
            cwd=self.folder,
            env=environment,
            stderr=self.errors,
            stdout=subprocess.PIPE,
        )
        self.started = []

    def wait_until(self, holds):
        """Waits until holds() while the launcher runs."""
        deadline, ended = time.monotonic() + PATIENCE, False
        while not holds():
            assert time.monotonic() < deadline and not ended, self.stderr()
            ended = self.process.poll() is not None  # what it did last is looked at once more
            time.sleep(0.02)

    def wait_files(self, *names):
        paths = [os.path.join(self.folder, name) for name in names]
        self.wait_until(lambda: all(map(os.path.exists, paths)))

    def wait_ready(self, *ranks):
        """Waits until these ranks have written ready_R; returns their process ids."""
        self.wait_files(*(f'ready_{rank}' for rank in ranks))
        for name in os.listdir(self.folder):
            if name.startswith(('ready_', 'helper_')) and not name.endswith('.tmp'):
                self.started.append(int(self.read(name)))
        return [int(self.read(f'ready_{rank}')) for rank in ranks]

    def finish(self):
        """Waits for the end, for less than a rank would sleep; returns (exit status, last line on
        stderr)."""
        self.output = self.process.communicate(timeout=PATIENCE)[0].decode()
        return self.process.returncode, (self.stderr().splitlines() or [''])[-1]

    def stderr(self):
        return self.read('stderr')

    def read(self, name):
        with open(os.path.join(self.folder, name)) as f:
            return f.read()

    def failures(self):
        """Lines of failures.jsonl, the first one first."""
        return [json.loads(line) for line in self.read('logs/failures.jsonl').splitlines()]

    def running(self):
        """Which of the processes started run."""
        return [pid for pid in self.started if is_running(pid)]

    def left(self):
        """Which of them run still though each was killed: that takes a moment."""
        deadline = time.monotonic() + PATIENCE / 4
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.running()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        for pid in self.running():
            os.kill(pid, signal.SIGKILL)


def is_running(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def two_servers(tmp_path):
    """A table of two servers, on two addresses of this machine, with two ranks each."""
    table = rank_table.merge(
        [
            rank_table.make(f'127.0.0.{s + 1}', [(d, f'192.168.{s}.{d + 1}') for d in (0, 1)])
            for s in range(2)
        ]
    )
    path = os.path.join(str(tmp_path), 'cluster.json')
    rank_table.dump(table, path)
    return path


def guards_of(pid):
    """Children of a launcher that run hccl/guard.py."""
    found = []
    for child in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{child}/cmdline', 'rb') as f, open(f'/proc/{child}/stat') as g:
                if b'guard.py' in f.read() and g.read().rsplit(')', 1)[1].split()[1] == str(pid):
                    found.append(int(child))
        except OSError:
            pass
    return found


def free_base_port():
    """A --base_port of which nobody listens on the ports, nor on the one below. Below those that
    ports.free_ports gives, a range for each of pytest's workers.
    """
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[len('gw') :])
    while True:
        port = 8000 + 1000 * (worker % 8) + 10 * random.SystemRandom().randrange(100)
        if not any(map(is_taken, range(port - 1, port + 8))):
            return port


def is_taken(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('', port))
        except OSError:
            return True
    return False
