"""Rank tables with one thing wrong: the place and what is wrong with it are named, in one line."""

import pytest

from hccl import rank_table
from mobilenet.errors import UsageError
from tests.helpers.rank_tables import change, load, table_1_0, table_1_2, table_group_list

DEVICE = 'server_list[0].device[3]'


FIRST = 'server_list[1].device[0]'


MEMBER = 'super_pod_list[1].server_list[0]'


GROUP = 'group_list[0]'


NINE = [{'device_id': str(d), 'device_ip': f'10.1.1.{d}', 'rank_id': str(d)} for d in range(9)]


WRONG = [
    # (table, what is set, to what, the place that must be named, a word that must be there)
    (table_1_0(), 'status', 'initializing', 'status', 'not ready'),
    (table_1_0(), 'status', 'failed', 'status', 'or make one with scripts/make_rank_table.py'),
    (table_1_0(), 'status', None, 'status', 'missing'),
    (table_1_0(), 'version', '3.0', 'version', '"1.0"'),
    (table_1_0(), 'version', None, 'version', 'missing'),
    (table_1_0(), 'version', 1.0, 'version', 'quotes'),
    (table_1_0(), 'server_list', None, 'server_list', 'missing'),
    (table_1_0(), 'server_list', [], 'server_list', 'list'),
    (table_1_0(), 'server_list', ['x'], 'server_list[0]', 'object'),
    (table_1_0(), 'server_count', '2', 'server_count', '"1"'),
    (table_1_0(), 'server_count', None, 'server_count', 'missing'),
    (table_1_0(), 'server_list[0].server_id', None, 'server_list[0].server_id', 'missing'),
    (
        table_1_0(),
        'server_list[0].server_id',
        '10.0.0.999',
        'server_list[0].server_id',
        'IP address',
    ),
    (table_1_0(), 'server_list[0].server_id', 'a b', 'server_list[0].server_id', 'name'),
    (table_1_0(), 'server_list[0].device', None, 'server_list[0].device', 'missing'),
    (table_1_0(), 'server_list[0].device', {}, 'server_list[0].device', 'list'),
    (table_1_0(), 'server_list[0].device', NINE, 'server_list[0].device', '9 devices'),
    (table_1_0(), DEVICE + '.rank_id', '2', DEVICE + '.rank_id', 'server_list[0].device[2]'),
    (table_1_0(), DEVICE + '.rank_id', '8', DEVICE + '.rank_id', 'rank 3 is missing'),
    (table_1_0(), DEVICE + '.rank_id', '-1', DEVICE + '.rank_id', 'number'),
    (table_1_0(), DEVICE + '.rank_id', '٣', DEVICE + '.rank_id', 'number'),
    (table_1_0(), DEVICE + '.rank_id', 3, DEVICE + '.rank_id', 'quotes'),
    (table_1_0(), DEVICE + '.rank_id', None, DEVICE + '.rank_id', 'missing'),
    (table_1_0(), DEVICE + '.device_id', None, DEVICE + '.device_id', 'missing'),
    (table_1_0(), DEVICE + '.device_id', '2', DEVICE + '.device_id', 'server_list[0].device[2]'),
    (table_1_0(), DEVICE + '.device_id', '8', DEVICE + '.device_id', '0 to 7'),
    (
        table_1_0(),
        DEVICE + '.device_ip',
        '192.168.0.1',
        DEVICE + '.device_ip',
        'server_list[0].device[0]',
    ),
    (table_1_0(), DEVICE + '.device_ip', '192.168.0', DEVICE + '.device_ip', 'IP address'),
    (table_1_0(2, 2), FIRST + '.device_ip', None, FIRST + '.device_ip', 'missing'),
    (
        table_1_0(2, 2),
        FIRST + '.device_ip',
        '192.168.0.1',
        FIRST + '.device_ip',
        'server_list[0].device[0]',
    ),
    (
        table_1_0(2, 2),
        'server_list[1].server_id',
        '10.0.0.1',
        'server_list[1].server_id',
        'server_list[0]',
    ),
    (
        table_1_2(),
        'server_list[1].host_ip',
        '172.16.0.100',
        'server_list[1].host_ip',
        'server_list[0]',
    ),
    (table_1_2(), FIRST + '.super_device_id', None, FIRST + '.super_device_id', 'missing'),
    (
        table_1_2(),
        FIRST + '.super_device_id',
        '2',
        FIRST + '.super_device_id',
        'server_list[0].device[2]',
    ),
    (table_1_2(), MEMBER + '.server_id', 'node_9', MEMBER + '.server_id', 'node_9'),
    (table_1_2(), MEMBER + '.server_id', 'node_0', MEMBER + '.server_id', 'already'),
    (
        table_1_2(),
        'super_pod_list[1].super_pod_id',
        '0',
        'super_pod_list[1].super_pod_id',
        'second time',
    ),
    (
        table_1_2(),
        'super_pod_list[1].server_list',
        [{'server_id': 'node_3'}],
        'super_pod_list',
        'node_2',
    ),
    (table_1_2(), FIRST + '.device_ip', None, FIRST + '.device_ip', 'missing'),
    (table_1_2(1, 1, 16), 'server_list[0].device', NINE, 'server_list[0].device', '9 devices'),
    (table_group_list(), 'group_count', '2', 'group_count', '"1"'),
    (table_group_list(), 'group_count', None, 'group_count', 'missing'),
    (table_group_list(), GROUP + '.instance_count', '8', GROUP + '.instance_count', '"1"'),
    (table_group_list(), GROUP + '.device_count', '4', GROUP + '.device_count', '"8"'),
    (
        table_group_list(),
        GROUP + '.instance_list[0].devices[2].device_id',
        '5',
        GROUP + '.instance_list[0].devices[2].device_id',
        'devices[0]',
    ),
    (table_group_list(), GROUP + '.instance_list[0].devices', NINE, GROUP + '.device_count', '"9"'),
    (table_group_list(), 'version', '1.2', 'version', '1.0'),
]


@pytest.mark.parametrize('data, place, value, named, word', WRONG)
def test_what_is_wrong_is_named(data, place, value, named, word, tmp_path):
    load(data, tmp_path)
    with pytest.raises(UsageError) as error:
        load(change(data, place, value), tmp_path)
    message = str(error.value)
    assert '\n' not in message
    assert message.startswith('rank table {}: {} '.format(tmp_path / 'table.json', named)), message
    assert word in message, message


def test_ranks_of_servers_must_not_interleave(tmp_path):
    data = change(table_1_0(2, 2), 'server_list[0].device[1].rank_id', '2')
    data = change(data, 'server_list[1].device[0].rank_id', '1')
    with pytest.raises(UsageError, match=r'server_list\[0\] has the ranks 0, 2'):
        load(data, tmp_path)


@pytest.mark.parametrize(
    'text, word',
    [
        ('', 'not JSON'),
        ('{"version": "1.0", // x', 'not JSON'),
        ('[' * 100000, 'not JSON'),
        ('[]', 'JSON object'),
        ('3', 'JSON object'),
        ('{}', 'status'),
    ],
    ids=['empty', 'comment', 'deep', 'list', 'number', 'object'],
)
def test_not_a_table(text, word, tmp_path):
    with pytest.raises(UsageError, match=word):
        load(text, tmp_path)


def test_no_such_table_lists_the_ready_ones(tmp_path):
    with pytest.raises(UsageError, match='no such file.*hccl_8p.json'):
        rank_table.load('hccl_9p.json')
    with pytest.raises(UsageError, match='no such file'):
        rank_table.load(str(tmp_path / 'hccl_8p.json'))  # a path is not looked up elsewhere
    with pytest.raises(UsageError, match='a folder'):
        rank_table.load(str(tmp_path))
