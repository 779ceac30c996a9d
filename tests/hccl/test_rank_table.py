"""Rank tables: the three templates are read, what is written is read again, servers are found."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import types

import pytest

from hccl import rank_table
from mobilenet.errors import UsageError
from tests.helpers import ROOT
from tests.helpers.rank_tables import change, load, table_1_0, table_1_2, table_group_list


def ranks_of(table):
    """[(server, device id, device address)] in order of rank, from the public fields alone."""
    rows = [
        (d.rank_id, s.server_id, d.device_id, d.device_ip) for s in table.servers for d in s.devices
    ]
    assert [row[0] for row in rows] == list(range(table.world_size))
    return [row[1:] for row in rows]


def test_version_1_0(tmp_path):
    table = load(table_1_0(2, 4), tmp_path)
    assert (table.version, table.world_size, table.template) == ('1.0', 8, 'server_list')
    assert ranks_of(table)[3:5] == [('10.0.0.1', 3, '192.168.0.4'), ('10.0.0.2', 0, '192.168.1.1')]


def test_servers_and_devices_come_in_order_of_rank(tmp_path):
    data = table_1_0(2, 2)
    data['server_list'].reverse()
    data['server_list'][0]['device'].reverse()
    assert [row[0] for row in ranks_of(load(data, tmp_path))] == ['10.0.0.1'] * 2 + ['10.0.0.2'] * 2


def test_version_1_2(tmp_path):
    table = load(table_1_2(), tmp_path)
    assert (table.version, table.world_size) == ('1.2', 16)
    assert table.super_pods == (('0', ('node_0', 'node_1')), ('1', ('node_2', 'node_3')))
    assert table.servers[3].host_ip == '172.16.0.103'
    assert table.servers[3].devices[1].super_device_id == '5'


def test_version_1_2_allows_sixteen_devices(tmp_path):
    assert load(table_1_2(1, 1, 16), tmp_path).world_size == 16


def test_group_list_ranks_in_order_of_the_list(tmp_path):
    table = load(table_group_list(), tmp_path)
    assert (table.template, table.world_size, len(table.servers)) == ('group_list', 8, 1)
    assert [row[1] for row in ranks_of(table)] == [5, 6, 7, 0, 1, 2, 3, 4]


def test_group_list_with_an_instance_a_device(tmp_path):
    """As deploy tools wrote it for two servers: rank_id stands in the instance."""
    instances = [
        {
            'rank_id': str(s * 2 + d),
            'server_id': f'10.0.0.{s}',
            'devices': [{'device_id': str(d), 'device_ip': f'192.168.{s}.{d}'}],
        }
        for s in (1, 0)
        for d in (0, 1)
    ]
    table = load(
        {
            'status': 'completed',
            'group_count': '1',
            'deploy_mode': 'lab',
            'group_list': [
                {
                    'device_num': '4',
                    'instance_count': '4',
                    'group_name': '',
                    'instance_list': instances,
                }
            ],
        },
        tmp_path,
    )
    assert [row[:2] for row in ranks_of(table)] == [
        ('10.0.0.0', 0),
        ('10.0.0.0', 1),
        ('10.0.0.1', 0),
        ('10.0.0.1', 1),
    ]


@pytest.mark.parametrize('devices', [1, 2, 4, 8])
def test_ready_tables_by_bare_name(devices, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = rank_table.load(f'hccl_{devices}p.json')
    assert ranks_of(table) == [('127.0.0.1', d, f'192.168.100.{101 + d}') for d in range(devices)]
    assert rank_table.find_server(table).server_id == '127.0.0.1'


def test_a_table_in_the_current_folder_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'hccl_8p.json').write_text(json.dumps(table_1_0(1, 2)))
    assert rank_table.load('hccl_8p.json').world_size == 2


@pytest.mark.parametrize('data', [table_1_0(2, 8), table_1_2(), table_group_list()])
def test_what_is_written_is_read_again(data, tmp_path):
    table = load(data, tmp_path)
    copy_path = str(tmp_path / 'copy.json')
    rank_table.dump(table, copy_path)
    again = rank_table.load(copy_path)
    assert again == table._replace(path=copy_path, template='server_list')
    if 'server_list' in data:  # nothing of it is lost, fields unknown to us (device_port) included
        with open(copy_path) as f:
            assert json.load(f) == data
    assert os.listdir(str(tmp_path)) in (['copy.json', 'table.json'], ['table.json', 'copy.json'])


def test_find_server(tmp_path):
    table = load(table_1_2(), tmp_path)
    assert rank_table.find_server(table, 'node_2').server_id == 'node_2'
    assert rank_table.find_server(table, '172.16.0.102').server_id == 'node_2'
    with pytest.raises(UsageError, match='--server_id node_7 .* node_0, node_1'):
        rank_table.find_server(table, 'node_7')


def test_find_server_by_address(tmp_path):
    data = change(table_1_0(2, 2), 'server_list[0].server_id', '10.255.255.1')
    with pytest.raises(UsageError, match='no server .* --server_id'):
        rank_table.find_server(load(data, tmp_path))
    data = change(data, 'server_list[1].server_id', rank_table.own_address())
    assert rank_table.find_server(load(data, tmp_path)).devices[0].rank_id == 2
    data = change(data, 'server_list[0].server_id', '127.0.0.1')
    with pytest.raises(UsageError, match='more than one server'):
        rank_table.find_server(load(data, tmp_path))


def test_find_server_by_the_address_of_its_container(tmp_path):
    data = change(table_1_0(2, 2), 'server_list[0].server_id', '10.255.255.1')
    data = change(data, 'server_list[1].server_id', '10.255.255.2')
    data['server_list'][1]['container_ip'] = rank_table.own_address()
    assert rank_table.find_server(load(data, tmp_path)).server_id == '10.255.255.2'


@pytest.mark.parametrize('count', range(1, 9))
def test_any_number_of_devices_and_what_is_said_of_it(tmp_path, count):
    """As Huawei's pages have it: Ascend 910 takes 1, 2, 4 and 8, Atlas A2 all."""
    table = load(table_1_0(1, count), tmp_path)
    lines = rank_table.notes(table)
    assert table.world_size == count and len(lines) == (count not in (1, 2, 4, 8))
    assert all(f'{count} devices' in line and 'Ascend 910' in line for line in lines)


@pytest.mark.parametrize('ids', [(0, 4), (3, 4), (2, 3, 4, 5), (0, 1, 2, 7)])
def test_devices_of_both_halves_are_noted(tmp_path, ids):
    data = table_1_0(1, len(ids))
    for device, device_id in zip(data['server_list'][0]['device'], ids):
        device['device_id'] = str(device_id)
    (line,) = rank_table.notes(load(data, tmp_path))
    assert 'devices ' + ', '.join(map(str, ids)) in line and '0-3 or 4-7' in line


def test_an_initializing_table_is_waited_for(tmp_path):
    path = tmp_path / 'table.json'
    path.write_text(json.dumps(dict(table_1_0(), status='initializing')))
    with pytest.raises(UsageError, match='"initializing".*--rank_table_timeout'):
        rank_table.load(str(path), timeout=0.1)
    whole = tmp_path / 'whole.json'
    whole.write_text(json.dumps(table_1_0()))
    timer = threading.Timer(0.7, lambda: whole.rename(path))
    started = time.monotonic()
    timer.start()
    assert rank_table.load(str(path), timeout=600).world_size == 8
    assert 0.5 < time.monotonic() - started < 300


@pytest.mark.parametrize('part', [0, 1, 30, -3])
def test_a_half_written_table_is_waited_for(tmp_path, part, capsys):
    path, whole = tmp_path / 'table.json', json.dumps(table_1_0())
    path.write_text(whole[:part])
    with pytest.raises(UsageError, match='not JSON'):
        rank_table.load(str(path))
    assert capsys.readouterr().err == ''
    threading.Timer(0.3, lambda: path.write_text(whole)).start()
    assert rank_table.load(str(path), timeout=600).world_size == 8
    assert capsys.readouterr().err == f'waiting up to 600 s for rank table {path}\n'


@pytest.mark.parametrize(
    'env, table_path, needs, words',
    [
        (
            {'RANK_ID': '0'},
            'hccl_8p.json',
            False,
            ['RANK_SIZE=(not set)', '8 ranks', 'unset RANK_ID'],
        ),
        ({'RANK_ID': '1', 'RANK_SIZE': '2'}, 'hccl_4p.json', True, ['--rank_table', '4 ranks']),
        (
            {'RANK_ID': '1', 'RANK_SIZE': '2', 'RANK_TABLE_FILE': 'hccl_8p.json'},
            None,
            True,
            ['RANK_TABLE_FILE=', '8 ranks'],
        ),
        ({'RANK_ID': '1', 'RANK_SIZE': '2'}, None, True, ['RANK_TABLE_FILE is not set']),
        ({'RANK_ID': '1', 'RANK_SIZE': '2'}, None, False, None),
        ({'RANK_ID': '0'}, None, True, None),
        ({'RANK_ID': '1', 'RANK_SIZE': '2'}, 'hccl_2p.json', False, None),
        ({'RANK_ID': '1', 'RANK_SIZE': '2', 'RANK_TABLE_FILE': 'hccl_2p.json'}, None, True, None),
    ],
)
def test_rank_id_and_table_go_together(env, table_path, needs, words):
    if words is None:
        assert rank_table.check_environment(env, table_path, needs) is None
        return
    with pytest.raises(UsageError) as raised:
        rank_table.check_environment(env, table_path, needs)
    assert all(word in str(raised.value) for word in words)


def test_what_goes_together_is_told_with_all_its_names():
    env = {'RANK_ID': '1', 'RANK_SIZE': '2'}
    with pytest.raises(UsageError) as raised:
        rank_table.check_environment(env, 'hccl_4p.json', False)
    assert str(raised.value).startswith(
        'RANK_ID=1, RANK_SIZE=2 in the environment, but --rank_table=hccl_4p.json has 4 ranks: '
    )


def test_a_rank_that_is_said_to_be_alone_reads_no_table():
    env = {'RANK_ID': '0', 'RANK_TABLE_FILE': 'hccl_8p.json'}
    assert rank_table.check_environment(env, None, False) is None  # nor does any on a host
    assert rank_table.check_environment(dict(env, RANK_SIZE='1'), None, True) is None
    with pytest.raises(UsageError, match=r'RANK_SIZE=\(not set\).*has 8 ranks'):
        rank_table.check_environment(env, None, True)


def test_the_table_of_the_environment_is_waited_for(tmp_path):
    path = tmp_path / 'table.json'
    path.write_text(json.dumps(dict(table_1_0(), status='initializing')))
    timer = threading.Timer(0.3, lambda: path.write_text(json.dumps(table_1_0())))
    timer.start()
    env = {'RANK_ID': '0', 'RANK_SIZE': '8', 'RANK_TABLE_FILE': str(path)}
    rank_table.check_environment(env, None, True, timeout=30)


def test_how_long_a_table_is_waited_for(tmp_path, monkeypatch):
    """By a clock of its own: half a second at a time, to the moment and no longer."""
    slept = []
    clock = types.SimpleNamespace(monotonic=lambda: 7.0 + sum(slept), sleep=slept.append)
    monkeypatch.setattr(rank_table, 'time', clock)
    path = tmp_path / 'table.json'
    path.write_text(json.dumps(dict(table_1_0(), status='initializing')))
    for timeout, pauses in ((1.0, [0.5, 0.5]), (0.25, [0.25]), (0.0, [])):
        del slept[:]
        with pytest.raises(UsageError):
            rank_table.load(str(path), timeout)
        assert slept == pauses
    with pytest.raises(UsageError):
        rank_table.load(str(path))
    assert slept == []


@pytest.mark.parametrize('address', ['', 7, None])
def test_an_address_of_a_container_that_is_none(tmp_path, address):
    data = table_1_0(2, 1)
    data['server_list'][0]['container_ip'] = address
    table = load(data, tmp_path)
    with pytest.raises(UsageError, match='is not in rank table'):
        rank_table.find_server(table, address or '')


def test_vendor_package_of_the_same_name_still_imports(tmp_path):
    """CANN's hccl.manage.api and hccl.split.api, further down sys.path, with ours first."""
    for part in ('manage', 'split'):
        folder = tmp_path / 'site' / 'hccl' / part
        folder.mkdir(parents=True)
        (folder / '__init__.py').write_text('')
        (folder / 'api.py').write_text(f'WHO = "vendor {part}"\n')
    (tmp_path / 'site' / 'hccl' / '__init__.py').write_text('raise RuntimeError("not ours")\n')
    script = textwrap.dedent("""
        import hccl.manage.api, hccl.split.api
        from hccl.manage.api import WHO
        import hccl.rank_table
        print(WHO, hccl.split.api.WHO, hccl.rank_table.__file__)""")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([ROOT, str(tmp_path / 'site')]))
    output = subprocess.check_output(
        [sys.executable, '-c', script], env=environment, cwd=str(tmp_path)
    )
    expected = os.path.join(ROOT, 'hccl', 'rank_table.py')
    assert output.decode().strip() == 'vendor manage vendor split ' + expected
