"""Ranks of a few sunk steps of V2 and of V3, for tests/commands/test_network_bits.py.

    python network_bits.py host|npu < RANKS

RANKS: of each group of ranks a line of JSON, [[environment, OUTPUT.npz, [ADDRESSES, ...]], ...].
ADDRESSES: host:port of every rank with commas, for each network its own, as each has a server.
Each rank is a process, forked when TensorFlow is imported, and writes all its variables after the
steps; the next group starts when one has ended. Exit status 1: a rank failed.
"""

import json
import os
import sys
import traceback

import numpy as np
import tensorflow as tf

from hccl import collectives, launcher
from mobilenet.devices import host
from tests.helpers import npu_steps


def main(device_name):
    for line in sys.stdin:
        ranks = [fork(device_name, *rank) for rank in json.loads(line)]
        ended = [os.waitpid(rank, 0)[1] for rank in ranks]
        if any(ended):
            return 1
    return 0


def fork(device_name, environment, output, addresses):
    """The process id of a rank."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.environ.update(environment)
            train(device_name, output, addresses)
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)  # TensorFlow's servers do not end by themselves
    return pid


def train(device_name, output, addresses):
    rank, size, _ = launcher.rank_of(os.environ)
    results = {}
    for name, own in zip(npu_steps.OTHER_NETWORKS, addresses):
        own = own.split(',')
        device = host.HostDevice(own, rank) if device_name == 'host' else npu_steps.device()
        together = collectives.create(device_name, rank, size, own)
        hp = npu_steps.settings(
            model_name=name, dropout=True, moving_average_decay=0.0
        )  # V1 has it
        with tf.Graph().as_default():
            # The third step of rank 0, and of rank 1 alike, overflows.
            with npu_steps.Steps(device, hp, together, longest=3) as run:
                loops = [run.run(n) for n in ((4,) if device_name == 'host' else (3, 1))]
                assert (loops[-1]['global_step'], loops[-1]['skipped_steps']) == (3, 1)
                results.update(run.read())
    np.savez(output, **results)


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
