"""Ranks of the simulated HCCL: TensorFlow gRPC servers, one a process.

The rank is RANK_ID of RANK_SIZE; where there are several, MOBILENET_RANK_ADDRESSES gives the
address of each ("host:port,host:port", in order), and RANK_TABLE_FILE must be there as on a real
server. One rank needs none of these.
"""

import atexit
import json
import os
import socket
import time
import zlib

import tensorflow as tf

from npu_bridge.sim.fatal import fatal

WORLD_GROUP = 'hccl_world_group'
JOB = 'worker'
LEADER = f'/job:{JOB}/replica:0/task:0'

_groups = {}
_server = None
_initialized_by = None  # the session that ran initialize_system


def rank():
    return int(os.environ.get('RANK_ID', '0'))


def size():
    return int(os.environ.get('RANK_SIZE', '1'))


def group_ranks(group):
    """World ranks in a group, before or after initialization: what an op needs when it is built."""
    if group == WORLD_GROUP:
        return list(range(size()))
    if group not in _groups:
        raise ValueError(f'HCCL group {group} does not exist')
    return _groups[group]


def group_key(group):
    """A positive int32 that all members derive alike."""
    return zlib.crc32(('group ' + group).encode()) & 0x7FFFFFFF


def set_initialized(session):
    global _initialized_by
    _initialized_by = session


def forget_session(session):
    """HCCL ends with the session that started it."""
    if _initialized_by is session:
        set_initialized(None)


def members(group):
    """World ranks in a group, for the hccl.manage.api; raises before initialize_system has run."""
    if _initialized_by is None:
        raise RuntimeError('HCCL is not initialized: run initialize_system in a session first')
    return group_ranks(group)


def local_members(group):
    """Those of a group on this rank's server, by the rank table."""
    return [r for r in members(group) if r in _server_ranks()]


def create_group(group, rank_num, rank_ids):
    members(WORLD_GROUP)
    if group in _groups or group == WORLD_GROUP:
        raise ValueError(f'HCCL group {group} exists')
    if rank_num != len(rank_ids) or sorted(set(rank_ids)) != list(rank_ids):
        raise ValueError(f'{rank_num} ranks in rising order wanted, got {rank_ids}')
    if not set(rank_ids) <= set(range(size())):
        raise ValueError(f'no such ranks: {rank_ids}')
    _groups[group] = list(rank_ids)


def destroy_group(group):
    members(group)
    del _groups[group]


def join_cluster(config):
    """Starts this rank's server at the first call, adds the cluster to a ConfigProto, and returns
    the target for the session. Waits for all the others, as HCCL does."""
    global _server
    filters = f'/job:{JOB}/task:{rank()}'
    config.device_filters[:] = [filters]
    config.experimental.collective_group_leader = LEADER
    if _server is None:
        addresses = _addresses()
        cluster = tf.train.ClusterSpec({JOB: addresses})
        _server = tf.train.Server(cluster, job_name=JOB, task_index=rank(), config=config)
        _wait_for(addresses)
    return _server.target


@atexit.register
def _drop_server():
    """While TensorFlow's modules are still whole: the server's destructor needs them."""
    global _server
    _server = None


def _addresses():
    path = os.environ.get('RANK_TABLE_FILE', '')
    if not os.path.isfile(path):
        fatal(f'HCCL: RANK_TABLE_FILE={path} is no file, and RANK_SIZE is {size()}')
    with open(path) as f:
        if json.load(f).get('status') != 'completed':
            fatal(f'HCCL: {path} has another status than completed')
    addresses = os.environ.get('MOBILENET_RANK_ADDRESSES', '').split(',')
    if len(addresses) != size() or not 0 <= rank() < size():
        fatal(
            f'HCCL: rank {rank()} of {size()}, but MOBILENET_RANK_ADDRESSES={",".join(addresses)}'
        )
    return addresses


def _wait_for(addresses):
    deadline = time.time() + float(os.environ.get('HCCL_CONNECT_TIMEOUT', '120'))
    for other, address in enumerate(addresses):
        host, port = address.rsplit(':', 1)
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
                break
            except OSError:
                if time.time() > deadline:
                    fatal(
                        f'HCCL: rank {other} at {address} did not come within HCCL_CONNECT_TIMEOUT'
                    )
                time.sleep(0.05)


def _server_ranks():
    """World ranks on this rank's server; all of them where the table names no servers."""
    try:
        with open(os.environ.get('RANK_TABLE_FILE', '')) as f:
            servers = json.load(f)['server_list']
    except (OSError, KeyError):
        return list(range(size()))
    for server in servers:
        ranks = [int(device['rank_id']) for device in server['device']]
        if rank() in ranks:
            return ranks
    fatal(f'HCCL: rank {rank()} is not in the rank table')
