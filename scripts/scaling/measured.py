"""The figures that bench_scaling.py prints: a Cluster, and measurements to hold the model to."""

import re

from mobilenet import text
from mobilenet.errors import UsageError
from scripts.scaling.model import Cluster

_FIGURE = re.compile(r'figure (\w+) (\S+)\Z')
NEEDED = (
    'cores',
    'batch_size',
    'rank_step_seconds',
    'half_batch_step_seconds',
    'gradient_bytes',
    'allreduce_seconds',
    'small_allreduce_seconds',
)


def read(path):
    """{name: number} of the `figure NAME VALUE` lines of a file. Raises UsageError where one that
    is needed is missing.
    """
    figures = {}
    for _, line in text.read_lines(path, ' (--measured)'):
        match = _FIGURE.match(line)
        if match:
            try:
                figures[match.group(1)] = float(match.group(2))
            except ValueError:
                raise UsageError(f'--measured={path}: {line!r} has no number')
    for name in NEEDED:
        if name not in figures:
            raise UsageError(
                f'--measured={path}: no line "figure {name} …": give what '
                'scripts/bench/bench_scaling.py prints'
            )
    return figures


def measured_ranks(figures):
    """{ranks: seconds a step} that were measured over several ranks."""
    pattern = re.compile(r'ranks_(\d+)_step_seconds\Z')
    matches = [(pattern.match(name), value) for name, value in figures.items()]
    return {int(match.group(1)): value for match, value in matches if match}


def cluster(figures, ranks):
    """The Cluster of a host with so many ranks, which share `batch_size` images a step.

    A rank alone with its core takes a fixed time and a time an image; both were measured, with
    batches of 1/2 and 1/4, on as many cores as there are. An all-reduce between two ranks, large
    and small, tells bandwidth and latency. The cores that a rank computes on are those that its
    link is made of: nothing overlaps.
    """
    half = figures['batch_size'] / 2
    an_image = (figures['rank_step_seconds'] - figures['half_batch_step_seconds']) / (half / 2)
    fixed = figures['rank_step_seconds'] - an_image * half
    batch = figures['batch_size'] / ranks
    latency = figures['small_allreduce_seconds'] / 2  # two messages
    sending = max(figures['allreduce_seconds'] - figures['small_allreduce_seconds'], 1e-9)
    return Cluster(
        step_seconds=fixed + an_image * batch,
        batch_size=batch,
        gradient_bytes=figures['gradient_bytes'],
        devices_a_server=ranks,
        inner_bandwidth=figures['gradient_bytes'] / sending,
        inner_latency=latency,
        cores=figures['cores'],
        cores_a_device=1,
    )
