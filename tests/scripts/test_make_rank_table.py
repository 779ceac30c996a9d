"""scripts/make_rank_table.py, run as a person runs it; its tables are read by our own loader."""

import os
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from hccl import rank_table
from mobilenet.errors import UsageError
from scripts import make_rank_table
from tests.helpers import ROOT

SCRIPT = os.path.join(ROOT, 'scripts', 'make_rank_table.py')
HCCN_CONF = """# written by hccn_tool
address_0=192.168.100.101
netmask_0=255.255.255.0
 address_1 = 192.168.101.101
address_2=192.168.102.101
address_3=192.168.103.101
gateway_3=192.168.103.1
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / 'hccn.conf').write_text(HCCN_CONF)

    def run_script(*arguments):
        done = subprocess.run(
            [sys.executable, SCRIPT] + list(arguments),
            cwd=str(tmp_path),
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    return run_script


def devices_of(path):
    table = rank_table.load(str(path))
    return [
        (s.server_id, d.device_id, d.device_ip, d.rank_id) for s in table.servers for d in s.devices
    ]


def test_from_hccn_conf(run, tmp_path):
    status, out, err = run('--hccn_conf', 'hccn.conf', '--server_id', '10.0.0.7', '-o', 'a.json')
    assert (status, out, err) == (0, '', 'a.json: 4 ranks on 10.0.0.7\n')
    assert devices_of(tmp_path / 'a.json') == [
        ('10.0.0.7', i, f'192.168.{100 + i}.101', i) for i in range(4)
    ]


def test_some_devices_to_standard_output(run, tmp_path):
    status, out, _ = run('--hccn_conf=hccn.conf', '--devices=2,3')
    assert status == 0
    (tmp_path / 'b.json').write_text(out)
    here = rank_table.own_address()
    assert devices_of(tmp_path / 'b.json') == [
        (here, 2, '192.168.102.101', 0),
        (here, 3, '192.168.103.101', 1),
    ]


@pytest.mark.parametrize('devices', ['4-7', '4,5,6,7', '[4,8)', '4,5-7'])
def test_from_a_device_range(run, tmp_path, devices):
    status, _, err = run(
        '--devices',
        devices,
        '--ip_base',
        '192.168.100.101',
        '--server_ip',
        'node_a',
        '-o',
        'c.json',
    )
    assert status == 0, err
    assert devices_of(tmp_path / 'c.json') == [
        ('node_a', 4 + r, f'192.168.100.{105 + r}', r) for r in range(4)
    ]


def test_merge_numbers_the_ranks_anew(run, tmp_path):
    for i, name in enumerate('abc'):
        assert (
            run(
                '--devices=0-7',
                f'--ip_base=192.168.{i}.1',
                f'--server_id=10.0.0.{i}',
                '-o',
                name + '.json',
            )[0]
            == 0
        )
    assert run('merge', 'a.json', 'c.json', '-o', 'ac.json')[0] == 0
    status, _, err = run('merge', 'ac.json', 'b.json', '-o', 'all.json')
    assert (status, err) == (0, 'all.json: 24 ranks on 10.0.0.0, 10.0.0.2, 10.0.0.1\n')
    rows = devices_of(tmp_path / 'all.json')
    assert [row[3] for row in rows] == list(range(24))
    assert [row[1] for row in rows] == list(range(8)) * 3
    assert rows[8] == ('10.0.0.2', 0, '192.168.2.1', 8)


@pytest.mark.parametrize(
    'arguments, word',
    [
        (['--hccn_conf', 'none.conf'], '--ip_base'),
        (['--hccn_conf', 'hccn.conf', '--devices', '0-7'], 'no address_4'),
        (['--hccn_conf', 'hccn.conf', '--devices', 'x'], '--devices'),
        (['--hccn_conf', 'hccn.conf', '--devices', '3-1'], '--devices'),
        (['--hccn_conf', 'hccn.conf', '--devices', '0,0'], 'device_id'),
        (['--hccn_conf', 'hccn.conf', '--ip_base', '1.1.1.1'], 'not allowed'),
        (['--ip_base', '1.1.1'], 'IP address'),
        (['--ip_base', '255.255.255.254'], 'lower'),
        (['--ip_base', '1.1.1.1', '--devices', '7-8'], '0 to 7'),
        (['--ip_base', '1.1.1.1', '-o', 'no/such/folder.json'], 'No such file'),
        (['--nonsense'], '--help'),
        (['merge'], 'TABLE'),
        (['merge', 'none.json'], 'no such file'),
        (['merge', 'hccl_8p.json', 'hccl_8p.json'], 'server_id'),
    ],
)
def test_wrong_use_is_one_line(run, arguments, word):
    status, out, err = run(*arguments)
    assert (status, out) == (2, '')
    assert err.count('\n') == 1 and word in err, err


@pytest.mark.parametrize(
    'devices, word',
    [('0-3', None), ('4,5', None), ('0-2', '3 devices (0, 1, 2)'), ('3,4', 'within 0-3 or 4-7')],
)
def test_what_an_ascend_910_does_not_take_is_said(run, devices, word):
    done = run('--ip_base', '10.1.0.1', '--devices', devices)
    assert done[0] == 0
    assert word in done[2] if word else done[2] == ''


def hccn(tmp_path, content):
    path = tmp_path / 'hccn-of-a-kind.conf'
    path.write_bytes(content)
    return make_rank_table.read_hccn_conf(str(path))


@pytest.mark.parametrize(
    'content',
    [
        b'\xef\xbb\xbfaddress_0=10.0.0.1\r\naddress_1=10.0.0.2\r\n',  # Notepad
        'address_0=10.0.0.1\naddress_1=10.0.0.2'.encode('utf-16'),
        b'address_0=10.0.0.1\raddress_1=10.0.0.2\r',
        b'; hccn\n\taddress_0 = 10.0.0.1 \nnetmask_0=255.0.0.0\nIPv6address=\naddress_1=10.0.0.2',
    ],
)
def test_hccn_conf_in_all_line_ends(tmp_path, content):
    assert hccn(tmp_path, content) == {0: '10.0.0.1', 1: '10.0.0.2'}


@pytest.mark.parametrize(
    'line',
    [
        b'adress_1=10.0.0.2',
        b'Address_1=10.0.0.2',
        b'address1=10.0.0.2',
        b'address_x=10.0.0.2',
        b'address_1:10.0.0.2',
        b'address_1 10.0.0.2',
        'address_²=10.0.0.2'.encode(),
        b'address_1=10.0.0',
        b'address_0=10.0.0.2',
        b'10.0.0.2',
        b'caf\xe9',
    ],
)
def test_no_line_of_hccn_conf_is_passed_over(tmp_path, line):
    with pytest.raises(UsageError, match='line 2'):
        hccn(tmp_path, b'address_0=10.0.0.1\n' + line + b'\n')


@pytest.mark.parametrize('into,status', [('>&-', 0), ('>/dev/full', 1), ('| true; exit 0', 0)])
def test_standard_output_that_takes_nothing(into, status):
    command = f'{sys.executable} {SCRIPT} --devices 0-7 --ip_base 1.2.3.4 {into}'
    done = subprocess.run(['bash', '-c', command], capture_output=True, text=True)
    assert done.returncode == status and 'Traceback' not in done.stderr


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.from_regex(r'(address)?_?[0-9²]{0,2} ?=?[0-9.]{0,9}', fullmatch=True)))
def test_any_hccn_conf_is_read_or_refused(tmp_path_factory, lines):
    try:
        hccn(tmp_path_factory.getbasetemp(), '\n'.join(lines).encode())
    except UsageError as error:
        assert 'hccn-of-a-kind.conf' in str(error)


@pytest.mark.parametrize('path', ['/dev/zero', 'fifo'])
def test_a_rank_table_that_is_no_file(tmp_path, path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    os.mkfifo('fifo')
    with pytest.raises(UsageError, match='not a file|no such file'):
        rank_table.load(path)
