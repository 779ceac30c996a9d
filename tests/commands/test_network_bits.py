"""The host's bits on the simulated NPU for V2 and V3, on one rank and on two.

V1, by the whole command, is in test_ranks.py.
"""

import os
import subprocess
import sys

import numpy as np

from hccl import ports
from tests.commands.test_ranks import environment
from tests.helpers import runs

PROGRAM = os.path.join(runs.ROOT, 'tests', 'helpers', 'network_bits.py')


def trained(folder, device, size):
    """[{variable: value}] of each rank."""
    free = ports.free_ports(2 * size)
    groups = [
        ','.join(f'127.0.0.1:{port}' for port in free[i * size : (i + 1) * size]) for i in range(2)
    ]
    outputs = [os.path.join(str(folder), f'{device}_{rank}_of_{size}.npz') for rank in range(size)]
    ranks = [
        subprocess.Popen(
            [sys.executable, PROGRAM, device, output, *groups],
            env=environment(
                device,
                RANK_ID=str(rank),
                RANK_SIZE=str(size),
                MOBILENET_RANK_ADDRESSES=groups[0],
                RANK_TABLE_FILE=os.path.join(runs.ROOT, 'hccl', f'hccl_{size}p.json'),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, output in enumerate(outputs)
    ]
    logs = [rank.communicate(timeout=500)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * size, '\n'.join(logs)
    return [dict(np.load(output)) for output in outputs]


def test_v2_and_v3_end_with_the_hosts_bits_on_one_rank_and_on_two(tmp_path):
    alone, both = [], []
    for device in ('host', 'npu'):
        alone += trained(tmp_path, device, 1)
        both += trained(tmp_path, device, 2)
    runs.assert_same_bits(*alone)
    for rank in range(2):
        runs.assert_same_bits(both[rank], both[2 + rank])
    runs.assert_same_bits(*both[:2], but=runs.OF_THE_RANK)
    for scope in ('MobilenetV2', 'MobilenetV3'):  # one rank sees half the batches of two
        name = f'{scope}/Logits/Conv2d_1c_1x1/weights'
        assert alone[0][name].any() and not np.array_equal(alone[0][name], both[0][name])
