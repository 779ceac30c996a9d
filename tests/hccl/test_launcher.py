"""The launcher with real processes and real signals; the ranks are small scripts."""

import json
import os
import subprocess
import sys

import pytest

from hccl import launcher, rank_table
from mobilenet.errors import UsageError
from tests.helpers import ROOT
from tests.helpers.launches import free_base_port, two_servers
import train_loop

ENVIRONMENT = """
note('env', json.dumps(dict(os.environ, cores=sorted(os.sched_getaffinity(0)), argv=sys.argv)))
print('out of rank %d' % RANK)
print('err of rank %d' % RANK, file=sys.stderr)
"""


def test_environment_and_logs_of_eight_ranks(start):
    launch = start(ENVIRONMENT, table='hccl_8p.json')
    status, _ = launch.finish()
    assert (status, launch.stderr(), launch.output) == (0, 'err of rank 0\n', 'out of rank 0\n')
    envs = [json.loads(launch.read(f'env_{rank}')) for rank in range(8)]
    for rank, env in enumerate(envs):
        assert env['RANK_ID'] == env['DEVICE_ID'] == env['ASCEND_DEVICE_ID'] == str(rank)
        assert env['RANK_SIZE'] == '8'
        assert env['argv'] == ['rank.py']
        assert env['RANK_TABLE_FILE'] == os.path.join(ROOT, 'hccl', 'hccl_8p.json')
        for name in ('JOB_ID', 'MOBILENET_RANK_ADDRESSES'):
            assert env[name] == envs[0][name]
        assert env['MOBILENET_ERROR_FILE'].endswith(f'rank_{rank}.error')
    addresses = envs[0]['MOBILENET_RANK_ADDRESSES'].split(',')
    assert len(set(addresses)) == 8
    assert all(address.startswith('127.0.0.1:') for address in addresses)
    assert envs[0]['JOB_ID'].isdigit()
    assert not os.path.exists(os.path.dirname(envs[0]['MOBILENET_ERROR_FILE']))
    assert sorted(os.listdir(os.path.join(launch.folder, 'logs'))) == [
        f'rank_{rank}.out' for rank in range(1, 8)
    ]
    assert sorted(launch.read('logs/rank_5.out').splitlines()) == ['err of rank 5', 'out of rank 5']


def test_each_launch_has_a_job_id_of_its_own_unless_it_is_set(start):
    ids = []
    for env in ({}, {}, {'JOB_ID': '10086'}):
        launch = start(ENVIRONMENT, table='hccl_1p.json', env=env)
        assert launch.finish()[0] == 0
        ids.append(json.loads(launch.read('env_0'))['JOB_ID'])
    assert ids[0] != ids[1] and ids[2] == '10086'


def test_second_of_two_servers(start, tmp_path):
    cluster = two_servers(tmp_path)
    port = free_base_port()
    both = [
        start(ENVIRONMENT, folder=address, table=cluster, server_id=address, base_port=port)
        for address in ('127.0.0.1', '127.0.0.2')
    ]
    assert [launch.finish() for launch in both] == [(0, 'err of rank 0'), (0, '')]
    launch = both[1]
    assert not os.path.exists(os.path.join(launch.folder, 'env_0'))
    envs = [json.loads(launch.read(f'env_{rank}')) for rank in (2, 3)]
    assert [env['DEVICE_ID'] for env in envs] == ['0', '1']
    assert [env['RANK_SIZE'] for env in envs] == ['4', '4']
    assert envs[0]['MOBILENET_RANK_ADDRESSES'] == (
        f'127.0.0.1:{port},127.0.0.1:{port + 1},127.0.0.2:{port + 2},127.0.0.2:{port + 3}'
    )
    table = rank_table.load(cluster)
    assert envs[0]['JOB_ID'] == launcher.job_id(table) == launcher.job_id(table)
    assert sorted(os.listdir(os.path.join(launch.folder, 'logs'))) == ['rank_2.out', 'rank_3.out']


def test_group_list_is_handed_on_as_version_1_0(start, tmp_path):
    (tmp_path / 'launch').mkdir()
    (tmp_path / 'launch' / 'old.json').write_text(
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
    envs = [json.loads(launch.read(f'env_{rank}')) for rank in (0, 1)]
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


@pytest.mark.parametrize('name', ['rank_1.out', 'failures.jsonl'])
@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir])
def test_a_log_that_cannot_be_written_to_starts_nothing(start, tmp_path, make, name):
    """A pipe that nobody reads would be waited for."""
    os.makedirs(tmp_path / 'launch' / 'logs')
    make(tmp_path / 'launch' / 'logs' / name)
    launch = start(ENVIRONMENT)
    status, line = launch.finish()
    assert status == 2 and f'logs/{name} cannot be written to: ' in line
    assert not os.path.exists(os.path.join(launch.folder, 'env_0'))


def test_logs_go_on_and_may_go_nowhere(start, tmp_path):
    logs = tmp_path / 'launch' / 'logs'
    os.makedirs(logs)
    (logs / 'failures.jsonl').write_text('{}\n')
    (logs / 'rank_1.out').symlink_to('/dev/null')
    launch = start(ENVIRONMENT)
    assert launch.finish()[0] == 0 and launch.read('logs/failures.jsonl') == '{}\n'


def test_what_a_table_of_one_rank_makes_idle_is_said():
    flags = ['--dataset_name=digits', '--check_weights_every=5', '--base_port=2000']
    lines = []
    for name in ('hccl_1p.json', 'hccl_2p.json'):
        given = train_loop.parse([*flags, f'--rank_table={name}'])
        lines += launcher.idle_flags(given, rank_table.load(name))
    assert lines == [
        '--check_weights_every does nothing on one rank',
        *['--base_port does nothing on one server: its ports are free ones'] * 2,
    ]


def test_no_tensorflow_is_imported():
    """The launcher stays small and quick: it is up before its ranks are."""
    script = 'import sys, hccl.launcher; sys.exit("tensorflow" in sys.modules)'
    subprocess.check_call([sys.executable, '-c', script], env=dict(os.environ, PYTHONPATH=ROOT))
