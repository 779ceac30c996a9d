"""Rank tables as they are made, merged, written and found: in this process, by hand count."""

import json
import os
import socket
import stat

import pytest

from hccl import rank_table
from mobilenet.errors import UsageError

DEVICES = [(4, '192.168.1.5'), (6, '192.168.1.7')]


def made(server_id='10.0.0.1', devices=DEVICES):
    return rank_table.make(server_id, devices)


def super_pods(servers, pod_ids):
    """A 1.2 table of two devices a server; pod_ids: the SuperPod of each."""
    entries = [
        {
            'server_id': name,
            'host_ip': f'172.16.0.{number}',
            'device': [
                {
                    'device_id': str(d),
                    'super_device_id': str(10 * number + d),
                    'device_ip': f'192.168.{number}.{d}',
                    'rank_id': str(2 * i + d),
                    'device_port': '16666',
                    'backup': 'x',
                }
                for d in range(2)
            ],
            'zone': 'b',
            'rack': 'a',
        }
        for i, (name, number) in enumerate(servers)
    ]
    pods = {}
    for (name, _), pod in zip(servers, pod_ids):
        pods.setdefault(pod, []).append({'server_id': name})
    return {
        'version': '1.2',
        'status': 'completed',
        'server_count': str(len(entries)),
        'server_list': entries,
        'super_pod_list': [{'super_pod_id': p, 'server_list': m} for p, m in pods.items()],
    }


def test_a_table_of_one_server():
    table = made()
    assert (table.version, table.template, table.world_size) == ('1.0', 'server_list', 2)
    (server,) = table.servers
    assert (server.server_id, server.host_ip) == ('10.0.0.1', None)
    found = [(d.rank_id, d.device_id, d.device_ip, d.super_device_id) for d in server.devices]
    assert found == [(0, 4, '192.168.1.5', None), (1, 6, '192.168.1.7', None)]
    assert made(devices=[(0, None)]).servers[0].devices[0].device_ip is None


def test_what_would_be_wrong_is_not_made():
    with pytest.raises(UsageError, match=r'\(to be written\).*9 devices'):
        made(devices=[(d, None) for d in range(9)])


def test_merging_numbers_the_ranks_anew():
    table = rank_table.merge([made(), made('10.0.0.2', [(0, '192.168.2.1'), (1, '192.168.2.2')])])
    assert (table.version, table.template, table.world_size) == ('1.0', 'server_list', 4)
    rows = [(s.server_id, d.device_id, d.rank_id) for s in table.servers for d in s.devices]
    assert rows == [('10.0.0.1', 4, 0), ('10.0.0.1', 6, 1), ('10.0.0.2', 0, 2), ('10.0.0.2', 1, 3)]
    assert table.super_pods == ()


def test_merging_joins_superpods_of_one_id():
    tables = [
        rank_table.parse(super_pods([('node_0', 1), ('node_1', 2)], ['a', 'b']), 'one'),
        rank_table.parse(super_pods([('node_2', 3)], ['a']), 'two'),
    ]
    merged = rank_table.merge(tables)
    assert (merged.version, merged.world_size) == ('1.2', 6)
    assert merged.super_pods == (('a', ('node_0', 'node_2')), ('b', ('node_1',)))
    assert [d.rank_id for s in merged.servers for d in s.devices] == list(range(6))


def test_versions_do_not_mix():
    other = rank_table.parse(super_pods([('node_0', 1)], ['a']), 'two')
    with pytest.raises(UsageError, match='versions 1.0 and 1.2 cannot be merged'):
        rank_table.merge([made(), other])


def test_every_field_is_written_and_read_again(tmp_path):
    data = super_pods([('node_0', 1), ('node_1', 2)], ['a', 'b'])
    path = str(tmp_path / 'table.json')
    rank_table.dump(rank_table.parse(data, 'one'), path)
    assert json.load(open(path)) == data
    table = rank_table.load(path)
    assert table.path == path
    assert table.servers[1].host_ip == '172.16.0.2'
    assert table.servers[1].extra == {'rack': 'a', 'zone': 'b'}
    assert table.servers[1].devices[0].extra == {'backup': 'x', 'device_port': '16666'}


def test_the_text_has_a_device_a_line(tmp_path):
    assert rank_table.dumps(made()) == (
        '{\n'
        '  "version": "1.0",\n'
        '  "status": "completed",\n'
        '  "server_count": "1",\n'
        '  "server_list": [\n'
        '    {\n'
        '      "server_id": "10.0.0.1",\n'
        '      "device": [\n'
        '        {"device_id": "4", "device_ip": "192.168.1.5", "rank_id": "0"},\n'
        '        {"device_id": "6", "device_ip": "192.168.1.7", "rank_id": "1"}\n'
        '      ]\n'
        '    }\n'
        '  ]\n'
        '}\n'
    )


def test_writing_replaces_the_file_and_others_can_read_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir('deep')
    for path in ('table.json', os.path.join('deep', 'table.json')):
        with open(path, 'w') as f:
            f.write('old')
        rank_table.dump(made(), path)
        assert rank_table.load(path).world_size == 2
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o644
    assert sorted(os.listdir('.')) == ['deep', 'table.json']
    assert os.listdir('deep') == ['table.json']


def test_the_half_written_file_stands_beside_its_place(tmp_path, monkeypatch):
    """A rename within a folder is all or nothing; between file systems it is not."""
    moved = []
    replace = os.replace
    monkeypatch.setattr(os, 'replace', lambda a, b: moved.append(a) or replace(a, b))
    rank_table.dump(made(), str(tmp_path / 'table.json'))
    (before,) = moved
    assert os.path.dirname(before) == str(tmp_path)
    assert os.path.basename(before).startswith('table.json.partial-')


def test_a_folder_that_is_not_there(tmp_path):
    path = str(tmp_path / 'nowhere' / 'table.json')
    with pytest.raises(UsageError, match='cannot be written: No such file or directory'):
        rank_table.dump(made(), path)


def test_unreadable_files_say_why(tmp_path):
    path = tmp_path / 'table.json'
    path.write_text('{"status": }')
    with pytest.raises(UsageError, match=r'not JSON: Expecting value: line 1 column 12'):
        rank_table.load(str(path))
    with pytest.raises(UsageError, match='a folder, not a file'):
        rank_table.load(str(tmp_path))


def two_servers(first, second):
    return rank_table.merge([made(first), made(second, [(0, '192.168.2.1'), (1, '192.168.2.2')])])


def test_this_machine_is_found_by_an_address_of_its_own():
    table = two_servers('192.0.2.7', '127.0.0.1')
    assert rank_table.find_server(table).server_id == '127.0.0.1'
    table = two_servers('192.0.2.7', '192.0.2.8')
    with pytest.raises(UsageError, match=r'^no server of .*--server_id \(192.0.2.7, 192.0.2.8\)'):
        rank_table.find_server(table)
    with pytest.raises(UsageError, match=r'more than one server \(127.0.0.1, 127.0.0.2\)'):
        rank_table.find_server(two_servers('127.0.0.1', '127.0.0.2'))


def test_a_servers_name_or_its_host_address_may_be_this_machines():
    """Either is enough: a SuperPod's names need not resolve, its addresses may be another net's."""
    entries = [(socket.gethostname(), 1), ('node_1', 2)]
    table = rank_table.parse(super_pods(entries, ['a', 'a']), 'one')
    assert rank_table.find_server(table).server_id == socket.gethostname()


def test_what_is_local():
    assert rank_table.is_local('127.0.0.1') and rank_table.is_local(socket.gethostname())
    for name in ('192.0.2.7', 'no.such.name.invalid', 'a' * 70, ''.join(['x.'] * 130)):
        assert not rank_table.is_local(name), name


def test_a_host_name_that_does_not_resolve_is_still_this_machines(monkeypatch):
    monkeypatch.setattr(socket, 'gethostname', lambda: 'no.such.name.invalid')
    assert rank_table.is_local('no.such.name.invalid')


def test_one_of_several_addresses_of_a_name_is_enough(monkeypatch):
    resolved = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, 0))
        for address in ('192.0.2.7', '127.0.0.1')
    ]
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *args, **kwargs: resolved)
    assert rank_table.is_local('some.name')


def test_addresses_are_tried_on_a_port_of_no_number(monkeypatch):
    """Port 0: a port that is taken, or for root alone, says nothing of the address."""
    asked = []
    resolve = socket.getaddrinfo

    def note(name, port, **options):
        asked.append(port)
        return resolve(name, port, **options)

    monkeypatch.setattr(socket, 'getaddrinfo', note)
    assert rank_table.is_local('127.0.0.1') and asked == [0]


class Route:
    """A socket that knows the way, or does not."""

    def __init__(self, error=None):
        self.error, self.to = error, None

    def __call__(self, *args):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return None

    def connect(self, address):
        if self.error:
            raise self.error
        self.to = address

    def getsockname(self):
        return ('10.9.8.7', 1) if self.to else ('0.0.0.0', 0)


def test_the_address_towards_the_network(monkeypatch):
    monkeypatch.setattr(socket, 'socket', Route())
    assert rank_table.own_address() == '10.9.8.7'
    monkeypatch.setattr(socket, 'socket', Route(OSError('no route')))
    assert rank_table.own_address() == '127.0.0.1'
