"""HCCL of the simulated NPU between two real processes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hccl import ports
from tests.helpers import ROOT, npu_case_server
from tests.mobilenet.devices.test_npu_steps import check_steps


def free_addresses(count):
    return [f'127.0.0.1:{port}' for port in ports.free_ports(count)]


def start_rank(rank, addresses, table, output):
    env = dict(
        npu_case_server.environment(),
        RANK_ID=str(rank),
        RANK_SIZE=str(len(addresses)),
        RANK_TABLE_FILE=str(table),
        MOBILENET_RANK_ADDRESSES=','.join(addresses),
    )
    return subprocess.Popen(
        [
            sys.executable,
            '-W',
            'ignore',
            os.path.join(ROOT, 'tests', 'helpers', 'npu_sim_ranks.py'),
            str(output),
        ],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )


def write_table(path, status='completed'):
    devices = [
        {'device_id': str(r), 'device_ip': f'192.168.100.{101 + r}', 'rank_id': str(r)}
        for r in range(2)
    ]
    path.write_text(
        json.dumps(
            {
                'version': '1.0',
                'status': status,
                'server_count': '1',
                'server_list': [{'server_id': '127.0.0.1', 'device': devices}],
            }
        )
    )
    return path


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """What both ranks wrote: a dict of arrays each."""
    folder = tmp_path_factory.mktemp('ranks')
    table, addresses = write_table(folder / 'table.json'), free_addresses(2)
    outputs = [folder / (f'{r}.npz') for r in range(2)]
    ranks = [start_rank(r, addresses, table, outputs[r]) for r in range(2)]
    logs = [r.communicate(timeout=600)[0] for r in ranks]
    assert [r.returncode for r in ranks] == [0, 0], '\n'.join(logs)
    return [dict(np.load(str(o))) for o in outputs]


def inputs():
    return [np.random.RandomState(rank).randn(2, 1001).astype(np.float32) for rank in range(2)]


@pytest.mark.parametrize(
    'reduction,function',
    [('sum', np.add), ('prod', np.multiply), ('min', np.minimum), ('max', np.maximum)],
)
def test_allreduce(results, reduction, function):
    want = function(*inputs())
    integers = function([3, 5, -7], [3, 10, -6])
    for result in results:
        np.testing.assert_array_equal(result['float32_' + reduction], want)
        for dtype in ('int8', 'int16', 'int32', 'float16'):
            got = result[f'{dtype}_{reduction}']
            assert got.dtype == dtype and got.tolist() == integers.tolist()


def test_other_collectives(results):
    first, second = inputs()
    for rank, result in enumerate(results):
        assert result['scalar'] == 2.0
        np.testing.assert_array_equal(result['broadcast_a'], second)
        assert result['broadcast_b'].tolist() == [1, 10]
        np.testing.assert_array_equal(result['allgather'], np.concatenate([first, second]))
        np.testing.assert_array_equal(result['reduce_scatter'], (first + second)[rank : rank + 1])
    np.testing.assert_array_equal(results[1]['reduce'], first + second)
    np.testing.assert_array_equal(results[1]['received'], first)


def test_ranks_are_known(results):
    for rank, result in enumerate(results):
        assert [
            int(result[k]) for k in ('rank_size', 'rank_id', 'local_rank_size', 'local_rank_id')
        ] == [2, rank, 2, rank]
        assert result['split'].tolist() == [60, 40]


@pytest.mark.parametrize('mode,adapter', npu_case_server.MODES)
def test_overflow_of_one_rank_is_seen_by_both(results, mode, adapter):
    """Training steps, the third overflows on rank 1: no weight or average of either moves."""
    for result in results:
        steps, report = json.loads(str(result[f'steps {mode} {adapter}']))
        check_steps(*steps, report)


def test_unfinished_rank_table_is_refused(tmp_path):
    table = write_table(tmp_path / 'table.json', status='initializing')
    rank = start_rank(0, free_addresses(2), table, tmp_path / '0.npz')
    log = rank.communicate(timeout=600)[0]
    assert rank.returncode == 134 and 'another status than completed' in log, log
