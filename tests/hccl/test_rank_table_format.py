"""What a rank table may and may not say, at the bounds."""

import json

import pytest

from hccl import rank_table_checks, rank_table_format
from mobilenet.errors import UsageError
from tests.helpers.rank_tables import table_1_0


def table(devices=2, servers=1, version='1.0', **changes):
    return dict(table_1_0(servers, devices, first=0), version=version, **changes)


def groups(*devices_of_instances, **changes):
    """The older template: an instance for each list of devices."""
    number, instances = 0, []
    for i, count in enumerate(devices_of_instances):
        devices = []
        for d in range(count):
            devices.append({'device_id': str(d), 'device_ip': f'192.168.{i}.{d}'})
            number += 1
        instances.append({'server_id': f'10.0.0.{i}', 'devices': devices})
    group = {
        'instance_count': str(len(instances)),
        'device_num': str(number),
        'instance_list': instances,
    }
    group.update(changes)
    return {'status': 'completed', 'group_count': '1', 'group_list': [group]}


def parse(data):
    return rank_table_format.parse(data, 'table.json')


def refusal(data):
    with pytest.raises(UsageError) as raised:
        parse(data)
    return str(raised.value)


@pytest.mark.parametrize('devices', [1, 2, 4, 6, 8, 10, 12, 14, 16])
def test_devices_of_a_server_in_version_1_2(devices):
    assert parse(table(devices, version='1.2')).world_size == devices


@pytest.mark.parametrize('devices', [7, 9, 11, 13, 15, 17])
def test_no_odd_numbers_of_devices_in_version_1_2(devices):
    assert f'has {devices} devices' in refusal(table(devices, version='1.2'))


def test_fields_without_a_text():
    assert 'status is missing; add it' in refusal(table(status=''))
    assert 'server_list[0].server_id is missing' in refusal(
        table(server_list=[dict(table()['server_list'][0], server_id='')])
    )


def test_a_value_that_is_no_string_is_shown_by_its_beginning():
    message = refusal(table(status=list(range(100))))
    assert f'status is {json.dumps(list(range(100)))[:40]}, not a string' in message


def test_a_table_that_is_not_ready_names_what_makes_one():
    assert 'or make one with scripts/make_rank_table.py' in refusal(table(status='initializing'))


def without_addresses(data):
    for server in data['server_list']:
        for device in server['device']:
            del device['device_ip']
    return data


def test_device_addresses_are_needed_between_networks_alone():
    """One server; version 1.2: one SuperPod, whatever its servers."""
    assert parse(without_addresses(table())).world_size == 2
    assert 'device_ip is missing' in refusal(without_addresses(table(servers=2)))
    pods = [{'super_pod_id': 'a', 'server_list': [{'server_id': f'10.0.0.{s}'} for s in range(2)]}]
    data = without_addresses(table(servers=2, version='1.2', super_pod_list=pods))
    for server in data['server_list']:
        for device in server['device']:
            device['super_device_id'] = device['rank_id']
    assert parse(data).world_size == 4
    pods = [
        {'super_pod_id': str(s), 'server_list': [{'server_id': f'10.0.0.{s}'}]} for s in range(2)
    ]
    assert 'device_ip is missing' in refusal(dict(data, super_pod_list=pods))


def test_an_address_again_after_a_device_without_one():
    data = table(4)
    devices = data['server_list'][0]['device']
    del devices[1]['device_ip']
    devices[3]['device_ip'] = devices[0]['device_ip']
    assert 'server_list[0].device[3].device_ip is "192.168.0.0"' in refusal(data)


def test_fields_that_are_known_are_not_extra():
    data = table()
    data['server_list'][0].update(host_ip='10.1.1.1', rack='7')
    data['server_list'][0]['device'][0].update(super_device_id='3', port='5')
    (server,) = parse(data).servers
    assert server.extra == {'rack': '7'} and server.host_ip == '10.1.1.1'
    assert server.devices[0].extra == {'port': '5'}


def test_group_list_counts():
    assert parse(groups(2, 2)).world_size == 4
    data = groups(2, 2)
    del data['group_list'][0]['instance_count']
    assert 'instance_count is missing' in refusal(data)
    assert 'device_num is "3", but there are 4 devices' in refusal(groups(2, 2, device_num='3'))
    assert parse(groups(1)).servers[0].devices[0].device_ip == '192.168.0.0'


def test_group_list_may_leave_addresses_out():
    data = groups(2)
    del data['group_list'][0]['instance_list'][0]['devices'][1]['device_ip']
    assert parse(data).servers[0].devices[1].device_ip is None


def test_group_list_ranks_of_the_instance_or_of_the_device():
    """An instance of one device may carry its rank; a device's own rank goes first."""
    data = groups(1, 1)
    for instance, rank in zip(data['group_list'][0]['instance_list'], ('1', '0')):
        instance['rank_id'] = rank
    assert [s.server_id for s in parse(data).servers] == ['10.0.0.1', '10.0.0.0']
    for instance, rank in zip(data['group_list'][0]['instance_list'], ('0', '1')):
        instance['devices'][0]['rank_id'] = rank
    assert [s.server_id for s in parse(data).servers] == ['10.0.0.0', '10.0.0.1']
    data = groups(2)
    data['group_list'][0]['instance_list'][0]['rank_id'] = '7'  # of two devices: not theirs
    assert [d.rank_id for d in parse(data).servers[0].devices] == [0, 1]


def test_wrong_devices_are_named_by_their_own_field():
    assert 'instance_list[0].devices has 9 devices' in refusal(groups(9))
    assert 'server_list[0].device has 9 devices' in refusal(table(9))


def test_names_of_servers():
    def named(name):
        return table(server_list=[dict(table()['server_list'][0], server_id=name)])

    assert parse(named('a' * 64)).servers[0].server_id == 'a' * 64
    assert parse(named('fe80::1')).servers[0].server_id == 'fe80::1'
    assert 'at most 64 letters' in refusal(named('a' * 65))
    assert 'not an IP address' in refusal(named('fe80::x'))
    assert 'not an IP address' in refusal(named('10.0.0'))
    for name in ('a b', 'a,b', 'a/b'):
        assert 'or a name of at most' in refusal(named(name))


def test_a_server_in_two_superpods_names_the_first():
    pods = [
        {'super_pod_id': 'first', 'server_list': [{'server_id': '10.0.0.0'}]},
        {'super_pod_id': 'second', 'server_list': [{'server_id': '10.0.0.0'}]},
    ]
    data = table(version='1.2', super_pod_list=pods)
    for device in data['server_list'][0]['device']:
        device['super_device_id'] = device['rank_id']
    assert 'is in SuperPod "first" already' in refusal(data)


def test_devices_of_one_half_are_not_noted():
    """Each server is looked at by itself."""
    data = table_1_0(3, 2)
    for server, ids in zip(data['server_list'], ((0, 3), (4, 7), (3, 4))):
        for device, device_id in zip(server['device'], ids):
            device['device_id'] = str(device_id)
    (line,) = rank_table_checks.notes(parse(data))
    assert 'server 10.0.0.3 has devices 3, 4: ' in line
