"""Rank tables as cluster tools write them, and changes to them."""

import copy
import json

from hccl import rank_table


def table_1_0(servers=1, devices=8, first=1):
    """first: the last number of the first server's and of each first device's address."""
    return {
        'version': '1.0',
        'status': 'completed',
        'server_count': str(servers),
        'server_list': [
            {
                'server_id': f'10.0.0.{s + first}',
                'device': [
                    {
                        'device_id': str(d),
                        'device_ip': f'192.168.{s}.{d + first}',
                        'rank_id': str(s * devices + d),
                    }
                    for d in range(devices)
                ],
            }
            for s in range(servers)
        ],
    }


def table_1_2(pods=2, servers=2, devices=4):
    """The layout of the vendor's example: two SuperPods of two servers of four devices."""
    table = table_1_0(pods * servers, devices)
    table['version'] = '1.2'
    for s, server in enumerate(table['server_list']):
        server.update(server_id=f'node_{s}', host_ip=f'172.16.0.{100 + s}')
        for d, device in enumerate(server['device']):
            device.update(super_device_id=str(s % servers * devices + d), device_port='16666')
    table['super_pod_list'] = [
        {
            'super_pod_id': str(p),
            'server_list': [{'server_id': f'node_{p * servers + s}'} for s in range(servers)],
        }
        for p in range(pods)
    ]
    return table


def table_group_list():
    return {
        'status': 'completed',
        'group_count': '1',
        'group_list': [
            {
                'group_name': 'worker',
                'device_count': '8',
                'instance_count': '1',
                'instance_list': [
                    {
                        'pod_name': 'another',
                        'server_id': '127.0.0.1',
                        'devices': [
                            {'device_id': str(d), 'device_ip': f'192.168.20.{d + 1}'}
                            for d in (5, 6, 7, 0, 1, 2, 3, 4)
                        ],
                    }
                ],
            }
        ],
    }


def load(data, tmp_path):
    path = tmp_path / 'table.json'
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return rank_table.load(str(path))


def change(data, place, value):
    """Sets a field by its place, as `server_list[0].device[3].rank_id`; None removes it."""
    data = copy.deepcopy(data)
    keys = place.replace(']', '').replace('[', '.').split('.')
    at = data
    for key in keys[:-1]:
        at = at[int(key) if isinstance(at, list) else key]
    if value is None:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    return data
