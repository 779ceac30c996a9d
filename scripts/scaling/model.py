"""Data-parallel training on n devices: its time a step, what limits it, and how often to save.

Seconds, bytes and images throughout. Sources: the ring's cost is that of Thakur, Rabenseifner and
Gropp, "Optimization of Collective Communication Operations in MPICH" (2005); the interval between
checkpoints and the time lost are those of Daly, "A higher order estimate of the optimum checkpoint
interval for restart dumps" (2006), after Young (1974).
"""

import collections
import dataclasses
import math

ALGORITHMS = ('ring', 'hierarchical', 'best')
NOTABLE = 0.05  # a loss of less does not count as a limit
DAY = 86400.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What is measured or given. Bandwidths in bytes/s, of one device's link within a server and of
    a server's link to the others; latencies of one message.

    step_seconds: of one device alone. backward_share: of the step, at its end, while which buckets
    of gradients become ready one after another and can be under way; 0: none is before all are.
    cores, cores_a_device: of a server, and of the device that step_seconds was measured on, where
    the devices are host ranks, which share the cores; a rank's link shares them too.
    input_images_per_sec: of a server's whole input pipeline.
    """

    step_seconds: float
    batch_size: int
    gradient_bytes: float = 0.0
    buckets: int = 1
    backward_share: float = 0.0
    devices_a_server: int = 8
    inner_bandwidth: float = math.inf
    inner_latency: float = 0.0
    outer_bandwidth: float = math.inf
    outer_latency: float = 0.0
    algorithm: str = 'best'
    cores: float = math.inf
    cores_a_device: float = 0.0
    input_images_per_sec: float = math.inf
    checkpoint_bytes: float = 0.0
    write_bandwidth: float = math.inf
    failures_a_device_day: float = 0.0
    restart_seconds: float = 0.0


# devices; images_per_sec: of all, with what is lost; step_seconds; allreduce_seconds: of all
# buckets, one after another; exposed_seconds: of those, what the step waits for; input: images/s
# that can be read; interval: Daly's, in seconds, inf where nothing fails; goodput: the share of the
# time that goes into steps that are kept; limit: 'devices', 'links', 'input' or 'failures'.
Prediction = collections.namedtuple(
    'Prediction',
    'devices images_per_sec step_seconds allreduce_seconds exposed_seconds input interval goodput '
    'limit',
)


def predict(cluster, devices):
    """The Prediction for so many devices, filled server by server."""
    share = share_of_cores(cluster, devices)
    compute = cluster.step_seconds / share
    one = allreduce(cluster, devices, cluster.gradient_bytes / cluster.buckets)
    exposed = exposed_seconds(compute, cluster.backward_share, cluster.buckets, one)
    step = compute + exposed
    running = devices * cluster.batch_size / step
    readable = cluster.input_images_per_sec * servers(cluster, devices)
    write = cluster.checkpoint_bytes / cluster.write_bandwidth
    mean = mean_time_between_failures(cluster, devices)
    interval = daly_interval(write, mean)
    kept = goodput(interval, write, mean, cluster.restart_seconds)
    lost = {
        'links': exposed / step,
        'input': 1 - min(1.0, readable / running),
        'failures': 1 - kept,
    }
    worst = max(lost, key=lost.get)
    return Prediction(
        devices,
        min(running, readable) * kept,
        step,
        one * cluster.buckets,
        exposed,
        readable,
        interval,
        kept,
        worst if lost[worst] >= NOTABLE else 'devices',
    )


def servers(cluster, devices):
    return -(-devices // cluster.devices_a_server)


def share_of_cores(cluster, devices):
    """The part of `cores_a_device` that each device of a server gets: 1 where there are enough."""
    wanted = min(devices, cluster.devices_a_server) * cluster.cores_a_device
    return 1.0 if wanted <= cluster.cores else cluster.cores / wanted


def ring(members, size, bandwidth, latency):
    """Seconds of an all-reduce of `size` bytes: 2 (n - 1) messages of size / n each way round."""
    if members == 1:
        return 0.0
    return 2 * (members - 1) * (size / members / bandwidth + latency)


def allreduce(cluster, devices, size):
    """Seconds of an all-reduce of `size` bytes over all devices, by the cluster's algorithm."""
    inside = min(devices, cluster.devices_a_server)
    inner = cluster.inner_bandwidth * share_of_cores(cluster, devices), cluster.inner_latency
    if inside == devices:
        return ring(devices, size, *inner)
    # One ring through all: each of its messages waits for the slowest link.
    outer = cluster.outer_bandwidth, cluster.outer_latency
    flat = ring(devices, size, min(inner[0], outer[0]), max(inner[1], outer[1]))
    # Within each server a scatter of sums and, at the end, a gather: together a ring's messages.
    # Between them a ring of servers for each part, all through the server's one link.
    two_levels = ring(inside, size, *inner) + ring(servers(cluster, devices), size, *outer)
    costs = {'ring': flat, 'hierarchical': two_levels, 'best': min(flat, two_levels)}
    return costs[cluster.algorithm]


def exposed_seconds(compute, backward_share, buckets, bucket_seconds):
    """What the step waits for at its end: bucket i of n is ready when i / n of the backward pass
    are done, and goes when the one before it has gone.
    """
    backward = compute * backward_share
    done = 0.0  # since the backward pass began
    for i in range(1, buckets + 1):
        done = max(done, backward * i / buckets) + bucket_seconds
    return done - backward


def mean_time_between_failures(cluster, devices):
    """Seconds between failures of any of the devices."""
    rate = devices * cluster.failures_a_device_day / DAY
    return 1 / rate if rate else math.inf


def young_interval(write, mean):
    """Seconds of work between checkpoints that take `write` seconds, to the first order."""
    return math.sqrt(2 * write * mean) if write else 0.0


def daly_interval(write, mean):
    """The same to a higher order (Daly, equation 37); inf where nothing fails."""
    if math.isinf(mean):
        return math.inf
    if write >= 2 * mean:
        return mean
    ratio = write / (2 * mean)
    return young_interval(write, mean) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - write


def goodput(interval, write, mean, restart):
    """The share of the time that goes into work that is kept (Daly, equation 20): the rest is
    writing, what was done since the last checkpoint, and starting again.
    """
    if math.isinf(mean):
        return 1.0
    again = math.exp(-restart / mean)
    if not interval:  # a checkpoint costs nothing, and is always just made
        return again
    period = (interval + write) / mean
    return again * interval / mean / math.expm1(period) if period < 700 else 0.0
