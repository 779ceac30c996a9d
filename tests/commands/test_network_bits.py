"""The host's bits on the simulated NPU for V2 and V3, on one rank and on two.

V1, by the whole command, is in test_ranks.py.
"""

import json
import os
import subprocess
import sys

import numpy as np

from hccl import ports
from tests.commands.test_ranks import environment
from tests.helpers import runs

PROGRAM = os.path.join(runs.ROOT, 'tests', 'helpers', 'network_bits.py')


def group(folder, size):
    """[(environment, file of its variables, addresses for each network)] of each rank."""
    free = ports.free_ports(2 * size)
    addresses = [
        ','.join(f'127.0.0.1:{port}' for port in free[i * size : (i + 1) * size]) for i in range(2)
    ]
    of_all = {
        'RANK_SIZE': str(size),
        'MOBILENET_RANK_ADDRESSES': addresses[0],
        'RANK_TABLE_FILE': os.path.join(runs.ROOT, 'hccl', f'hccl_{size}p.json'),
    }
    return [
        (dict(of_all, RANK_ID=str(i)), os.path.join(str(folder), f'{i}_of_{size}.npz'), addresses)
        for i in range(size)
    ]


def trained(folder, device):
    """[{variable: value}] of one rank alone, of rank 0 of two, of rank 1."""
    folder.mkdir()
    groups = [group(folder, size) for size in (1, 2)]
    done = subprocess.run(
        [sys.executable, PROGRAM, device],
        env=environment(device),
        input='\n'.join(map(json.dumps, groups)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1000,
    )
    assert done.returncode == 0, done.stdout
    return [dict(np.load(output)) for ranks in groups for _, output, _ in ranks]


def test_v2_and_v3_end_with_the_hosts_bits_on_one_rank_and_on_two(tmp_path):
    alone, *both = on_host = trained(tmp_path / 'host', 'host')
    on_npu = trained(tmp_path / 'npu', 'npu')
    for of_host, of_npu in zip(on_host, on_npu):
        runs.assert_same_bits(of_host, of_npu)
    runs.assert_same_bits(*both, but=runs.OF_THE_RANK)
    for scope in ('MobilenetV2', 'MobilenetV3'):  # one rank sees half the batches of two
        name = f'{scope}/Logits/Conv2d_1c_1x1/weights'
        assert alone[name].any() and not np.array_equal(alone[name], both[0][name])
