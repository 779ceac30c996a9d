"""The launcher with real processes and real signals; the ranks are small scripts."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from hccl import launcher, rank_table
from hccl.cores import assign_cores
from mobilenet.errors import UsageError
from tests.helpers import ROOT

DRIVER = textwrap.dedent("""
    import json, os, sys
    from hccl import launcher
    options = json.loads(sys.argv[1])
    sys.exit(launcher.launch(argv=sys.argv[2:], log_dir='logs', **options))
""")
PRELUDE = textwrap.dedent("""
    import json, os, signal, subprocess, sys, time
    RANK = int(os.environ['RANK_ID'])
    def note(name, text=''):
        with open('%s_%d.tmp' % (name, RANK), 'w') as f:
            f.write(str(text))
        os.rename('%s_%d.tmp' % (name, RANK), '%s_%d' % (name, RANK))
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

    def wait_ready(self, ranks):
        """Waits until all ranks have written ready_R; returns their process ids."""
        paths = [os.path.join(self.folder, 'ready_%d' % rank) for rank in range(ranks)]
        deadline = time.time() + 30
        while not all(os.path.exists(path) for path in paths):
            assert time.time() < deadline and self.process.poll() is None, self.stderr()
            time.sleep(0.02)
        for name in os.listdir(self.folder):
            if name.startswith(('ready_', 'helper_')):
                self.started.append(int(self.read(name)))
        return [int(self.read('ready_%d' % rank)) for rank in range(ranks)]

    def finish(self, within=20):
        """Waits for the end; returns (exit status, last line on stderr, seconds it took)."""
        start = time.time()
        self.output = self.process.communicate(timeout=within)[0].decode()
        took = time.time() - start
        return self.process.returncode, (self.stderr().splitlines() or [''])[-1], took

    def stderr(self):
        return self.read('stderr')

    def read(self, name):
        with open(os.path.join(self.folder, name)) as f:
            return f.read()

    def left(self, within=0.0):
        """Which of the processes started run still, after `within` seconds at most."""
        deadline = time.time() + within
        while True:
            running = [pid for pid in self.started if is_running(pid)]
            if not running or time.time() >= deadline:
                return running
            time.sleep(0.05)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)


def is_running(pid):
    try:
        with open('/proc/%d/stat' % pid) as f:
            return f.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


@pytest.fixture
def start(tmp_path):
    launches = []

    def start_launch(script, **options):
        launches.append(Launch(tmp_path, script, **options))
        return launches[-1]

    yield start_launch
    for launch in launches:
        launch.close()


ENVIRONMENT = """
note('env', json.dumps(dict(os.environ, cores=sorted(os.sched_getaffinity(0)), argv=sys.argv)))
print('out of rank %d' % RANK)
print('err of rank %d' % RANK, file=sys.stderr)
"""


def test_environment_and_logs_of_eight_ranks(start):
    launch = start(ENVIRONMENT, table='hccl_8p.json')
    status, _, _ = launch.finish()
    assert (status, launch.stderr(), launch.output) == (0, 'err of rank 0\n', 'out of rank 0\n')
    envs = [json.loads(launch.read('env_%d' % rank)) for rank in range(8)]
    for rank, env in enumerate(envs):
        assert env['RANK_ID'] == env['DEVICE_ID'] == env['ASCEND_DEVICE_ID'] == str(rank)
        assert env['RANK_SIZE'] == '8'
        assert env['argv'] == ['rank.py']
        assert env['RANK_TABLE_FILE'] == os.path.join(ROOT, 'hccl', 'hccl_8p.json')
        for name in ('JOB_ID', 'MOBILENET_RANK_ADDRESSES'):
            assert env[name] == envs[0][name]
        assert env['MOBILENET_ERROR_FILE'].endswith('rank_%d.error' % rank)
    addresses = envs[0]['MOBILENET_RANK_ADDRESSES'].split(',')
    assert len(set(addresses)) == 8
    assert all(address.startswith('127.0.0.1:') for address in addresses)
    assert envs[0]['JOB_ID'].isdigit()
    assert not os.path.exists(os.path.dirname(envs[0]['MOBILENET_ERROR_FILE']))
    assert sorted(os.listdir(os.path.join(launch.folder, 'logs'))) == [
        'rank_%d.out' % rank for rank in range(1, 8)
    ]
    assert sorted(launch.read('logs/rank_5.out').splitlines()) == ['err of rank 5', 'out of rank 5']


def test_each_launch_has_a_job_id_of_its_own_unless_it_is_set(start):
    ids = []
    for env in ({}, {}, {'JOB_ID': '10086'}):
        launch = start(ENVIRONMENT, table='hccl_1p.json', env=env)
        assert launch.finish()[0] == 0
        ids.append(json.loads(launch.read('env_0'))['JOB_ID'])
    assert ids[0] != ids[1] and ids[2] == '10086'


def two_servers(tmp_path):
    table = rank_table.merge(
        [
            rank_table.make(
                '127.0.0.%d' % (s + 1), [(d, '192.168.%d.%d' % (s, d + 1)) for d in (0, 1)]
            )
            for s in range(2)
        ]
    )
    path = str(tmp_path / 'cluster.json')
    rank_table.dump(table, path)
    return path


def test_second_of_two_servers(start, tmp_path):
    launch = start(ENVIRONMENT, table=two_servers(tmp_path), server_id='127.0.0.2', base_port=3000)
    assert launch.finish()[0] == 0
    assert not os.path.exists(os.path.join(launch.folder, 'env_0'))
    envs = [json.loads(launch.read('env_%d' % rank)) for rank in (2, 3)]
    assert [env['DEVICE_ID'] for env in envs] == ['0', '1']
    assert [env['RANK_SIZE'] for env in envs] == ['4', '4']
    assert envs[0]['MOBILENET_RANK_ADDRESSES'] == (
        '127.0.0.1:3000,127.0.0.1:3001,127.0.0.2:3002,127.0.0.2:3003'
    )
    table = rank_table.load(two_servers(tmp_path))
    assert envs[0]['JOB_ID'] == launcher.job_id(table) == launcher.job_id(table)
    assert sorted(os.listdir(os.path.join(launch.folder, 'logs'))) == ['rank_2.out', 'rank_3.out']


def test_group_list_is_handed_on_as_version_1_0(start, tmp_path):
    (tmp_path / 'old.json').write_text(
        json.dumps(
            {
                'status': 'completed',
                'group_count': '1',
                'group_list': [
                    {
                        'instance_count': '1',
                        'device_count': '2',
                        'instance_list': [
                            {
                                'server_id': '127.0.0.1',
                                'pod_name': 'p',
                                'devices': [
                                    {'device_id': '5', 'device_ip': '1.1.1.5'},
                                    {'device_id': '4', 'device_ip': '1.1.1.4'},
                                ],
                            }
                        ],
                    }
                ],
            }
        )
    )
    launch = start(ENVIRONMENT, table='old.json')
    assert launch.finish()[0] == 0
    env = json.loads(launch.read('env_1'))
    assert (env['RANK_ID'], env['ASCEND_DEVICE_ID']) == ('1', '4')
    table = rank_table.load(env['RANK_TABLE_FILE'])
    assert table.template == 'server_list'
    assert [device.device_id for device in table.servers[0].devices] == [5, 4]


def test_ranks_are_bound_to_cores(start):
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        pytest.skip('one core only')
    launch = start(ENVIRONMENT)
    assert launch.finish()[0] == 0
    envs = [json.loads(launch.read('env_%d' % rank)) for rank in (0, 1)]
    share = len(mine) // 2
    assert [env['cores'] for env in envs] == [mine[:share], mine[share : 2 * share]]
    assert [env['OMP_NUM_THREADS'] for env in envs] == [str(share)] * 2


def test_binding_can_be_switched_off_and_threads_set(start):
    mine = sorted(os.sched_getaffinity(0))
    launch = start(ENVIRONMENT, bind_cores='none')
    assert launch.finish()[0] == 0
    env = json.loads(launch.read('env_1'))
    assert env['cores'] == mine and 'OMP_NUM_THREADS' not in env
    launch = start(ENVIRONMENT, env={'OMP_NUM_THREADS': '7'})
    assert launch.finish()[0] == 0
    assert json.loads(launch.read('env_1'))['OMP_NUM_THREADS'] == '7'


@pytest.mark.parametrize(
    'bind, ranks, allowed, expected',
    [
        ('auto', 2, range(2), [[0], [1]]),
        ('auto', 2, [1, 3, 4, 6, 9], [[1, 3], [4, 6]]),
        ('auto', 1, range(4), [[0, 1, 2, 3]]),
        ('auto', 5, [2, 5], [[2], [5], [2], [5], [2]]),
        ('none', 2, range(2), [None, None]),
        ('0-1,6:2-3', 2, range(8), [[0, 1, 6], [2, 3]]),
    ],
)
def test_shares_of_cores(bind, ranks, allowed, expected):
    assert assign_cores(bind, ranks, allowed) == expected


@pytest.mark.parametrize('bind', ['0', '0:x', '0:', '0:9', '1-0:1', '0:1:0', 'on'])
def test_wrong_cores(bind):
    with pytest.raises(UsageError, match='--bind_cores'):
        assign_cores(bind, 2, range(2))


FAILING = (
    """
if RANK == %d:
    while not all(os.path.exists('ready_%%d' %% r) for r in range(4) if r != RANK):
        time.sleep(0.02)
    %s
"""
    + DEAF
)


@pytest.mark.parametrize('failing', [0, 1, 3])
def test_a_failing_rank_ends_the_others(start, failing):
    """The others are deaf to SIGTERM and have helpers: all gone within 10 seconds."""
    launch = start(
        FAILING
        % (
            failing,
            """
    note('ready', os.getpid())
    open(os.environ['MOBILENET_ERROR_FILE'], 'w').write('no space left on /data\\n')
    sys.exit(1)""",
        ),
        table='hccl_4p.json',
    )
    launch.wait_ready(4)
    status, line, took = launch.finish()
    assert took < 8
    assert status == 1 and launch.left() == [] and len(launch.started) == 7
    assert line.startswith('rank %d failed with exit status 1: no space left on /data' % failing)
    assert (failing == 0) == ('rank_%d.out' % failing not in line)


def test_the_error_is_found_in_the_output(start):
    launch = start("""
if RANK == 1:
    print('one', flush=True)
    raise ValueError('this is it')
time.sleep(300)""")
    status, line, _ = launch.finish()
    assert status == 1
    assert line == (
        'rank 1 failed with exit status 1: ValueError: this is it; the other ranks '
        'were ended; its output is in logs/rank_1.out'
    )


def test_a_fatal_check_inside_tensorflow_is_the_error(start):
    launch = start("""
if RANK == 1:
    print("2020-01-02 03:04:05.678: F tf_adapter/x.cc:12] unknown precision_mode", flush=True)
    os.abort()
time.sleep(300)""")
    status, line, _ = launch.finish()
    assert status == 1
    assert 'rank 1 failed with signal SIGABRT: ' in line and 'unknown precision_mode' in line


def test_an_ordinary_line_does_not_pass_for_the_error_of_a_killed_rank(start):
    launch = start('print("step 7", flush=True)\n' + DEAF)
    os.kill(launch.wait_ready(2)[1], signal.SIGKILL)
    _, line, _ = launch.finish()
    assert 'step 7' not in line and 'signal SIGKILL: killed from outside' in line


def test_wrong_use_found_by_a_rank_is_exit_status_2(start):
    launch = start('if RANK == 1:\n    print("no such folder: /x"); sys.exit(2)\ntime.sleep(300)')
    status, line, _ = launch.finish()
    assert status == 2
    assert line.startswith('rank 1 failed with exit status 2: no such folder: /x')


@pytest.mark.parametrize('killed', [0, 1])
def test_kill_9_of_a_rank(start, killed):
    launch = start(DEAF)
    pids = launch.wait_ready(2)
    os.kill(pids[killed], signal.SIGKILL)
    status, line, took = launch.finish()
    assert took < 8 and status == 1 and launch.left() == []
    assert line.startswith('rank %d failed with signal SIGKILL' % killed)


def test_after_a_failure_a_rank_that_can_stop_is_not_killed(start):
    launch = start(
        """
if RANK == 1:
    while not os.path.exists('ready_0'):
        time.sleep(0.02)
    note('ready', os.getpid())
    os.abort()
"""
        + STOPPABLE
    )
    launch.wait_ready(2)
    status, line, took = launch.finish()
    assert status == 1 and took < 3
    assert line.startswith('rank 1 failed with signal SIGABRT: Fatal Python error: Aborted')
    assert launch.read('saved_0') == '[15]'


def test_kill_9_of_the_launcher_leaves_nothing(start):
    launch = start(DEAF, table='hccl_4p.json')
    launch.wait_ready(4)
    assert len(launch.left()) == 8  # four ranks, four helpers
    launch.started += guards_of(launch.process.pid)
    assert len(launch.started) == 9
    launch.process.kill()
    assert launch.left(within=5) == []


def guards_of(pid):
    """Children of a launcher that run hccl/guard.py."""
    found = []
    for child in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{child}/cmdline') as f, open(f'/proc/{child}/stat') as g:
                if 'guard.py' in f.read() and g.read().rsplit(')', 1)[1].split()[1] == str(pid):
                    found.append(int(child))
        except OSError:
            pass
    return found


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_passed_on_once_and_waited_for(start, number):
    launch = start(STOPPABLE, table='hccl_4p.json')
    launch.wait_ready(4)
    launch.process.send_signal(number)
    status, line, _ = launch.finish()
    assert (status, line) == (0, '')
    for rank in range(4):
        assert launch.read('saved_%d' % rank) == '[%d]' % number
    assert launch.left() == []


def test_ctrl_c_at_a_terminal_reaches_each_rank_once(start, tmp_path):
    """The terminal signals the whole foreground group; the ranks are not in it."""
    launch = start(STOPPABLE, prefix=['setsid'])
    pids = launch.wait_ready(2)
    group = os.getpgid(launch.process.pid)
    assert group == launch.process.pid and all(os.getpgid(pid) == pid for pid in pids)
    os.killpg(group, signal.SIGINT)
    assert launch.finish()[0] == 0
    assert launch.read('saved_0') == launch.read('saved_1') == '[2]'


def test_a_second_stop_kills(start):
    launch = start(DEAF)
    launch.wait_ready(2)
    launch.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert len(launch.left()) == 4  # a stop is waited for, however long it takes
    launch.process.send_signal(signal.SIGINT)
    status, line, took = launch.finish()
    assert status == 1 and took < 2 and launch.left() == []
    assert 'killed at the second SIGINT' in line


def test_a_rank_that_ends_well_has_its_helpers_ended_too(start):
    launch = start(
        """
helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])
note('helper', helper.pid)
note('ready', os.getpid())
time.sleep(0.5)""",
        table='hccl_1p.json',
    )
    launch.wait_ready(1)
    assert launch.finish()[0] == 0
    assert len(launch.started) == 2 and launch.left(within=2) == []


def test_is_rank():
    assert launcher.is_rank({'RANK_ID': '0'})
    assert not launcher.is_rank({}) and not launcher.is_rank({'RANK_ID': ''})


def test_wrong_input_starts_nothing(tmp_path):
    with pytest.raises(UsageError, match='no such file'):
        launcher.launch('none.json', ['x.py'], log_dir=str(tmp_path / 'logs'))
    with pytest.raises(UsageError, match='--base_port'):
        launcher.launch(
            two_servers(tmp_path),
            ['x.py'],
            server_id='127.0.0.1',
            base_port=65534,
            log_dir=str(tmp_path / 'logs'),
        )
    (tmp_path / 'file').write_text('')
    with pytest.raises(UsageError, match='another folder'):
        launcher.launch('hccl_1p.json', ['x.py'], log_dir=str(tmp_path / 'file' / 'logs'))


def test_no_tensorflow_is_imported():
    """The launcher stays small and quick: it is up before its ranks are."""
    script = 'import sys, hccl.launcher; sys.exit("tensorflow" in sys.modules)'
    subprocess.check_call([sys.executable, '-c', script], env=dict(os.environ, PYTHONPATH=ROOT))
