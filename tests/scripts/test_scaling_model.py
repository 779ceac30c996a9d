"""scaling_model.py: counted by hand, what must hold of any model, and held to measurements."""

import dataclasses
import math
import pathlib
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from scripts.scaling import model
from tests.helpers import hostile, runs

BASE = model.Cluster(
    step_seconds=0.1,
    batch_size=32,
    gradient_bytes=16e6,
    buckets=4,
    backward_share=0.5,
    inner_bandwidth=1e9,
    inner_latency=1e-4,
    outer_bandwidth=2e8,
    outer_latency=1e-3,
)


def changed(**values):
    return dataclasses.replace(BASE, **values)


def test_a_ring_by_hand():
    """4 devices, 16 MB: 6 messages of 4 MB at 1 GB/s and 0.1 ms."""
    assert model.ring(4, 16e6, 1e9, 1e-4) == pytest.approx(6 * (4e-3 + 1e-4))
    assert model.ring(1, 16e6, 1e9, 1e-4) == 0


def test_two_servers_by_hand():
    """16 devices on 2 servers, 16 MB. One ring: 30 messages of 1 MB at 0.2 GB/s and 1 ms. Two
    levels: 14 messages of 2 MB at 1 GB/s inside, 2 of 8 MB at 0.2 GB/s between the servers.
    """
    ring, levels = 30 * (5e-3 + 1e-3), 14 * (2e-3 + 1e-4) + 2 * (40e-3 + 1e-3)
    found = {name: model.allreduce(changed(algorithm=name), 16, 16e6) for name in model.ALGORITHMS}
    assert found == pytest.approx({'ring': ring, 'hierarchical': levels, 'best': levels})


def simulated(compute, share, buckets, bucket_seconds, tick=1e-5):
    """What the step waits for, by a clock that ticks: an independent count."""
    ready = [compute * (1 - share + share * i / buckets) for i in range(1, buckets + 1)]
    now, free_at = 0.0, 0.0
    while ready or now < free_at:
        if ready and now >= free_at and now >= ready[0]:
            ready.pop(0)
            free_at = now + bucket_seconds
        now += tick
    return max(free_at - compute, 0.0)


@pytest.mark.parametrize('bucket_seconds', [0.001, 0.0125, 0.02, 0.1])
@pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
def test_overlap_with_the_backward_pass(share, bucket_seconds):
    found = model.exposed_seconds(0.1, share, 4, bucket_seconds)
    assert found == pytest.approx(simulated(0.1, share, 4, bucket_seconds), abs=1e-4)


def test_young_and_daly_by_hand():
    """A write of 60 s, a failure a day: Young sqrt(2 * 60 * 86400) = 3220 s; Daly 3180 s. The best
    interval keeps more than half of it and twice.
    """
    assert model.young_interval(60, 86400) == pytest.approx(3219.9, abs=0.1)
    best = model.daly_interval(60, 86400)
    ratio = math.sqrt(60 / 2 / 86400)
    assert best == pytest.approx(3219.9 * (1 + ratio / 3 + ratio**2 / 9) - 60, abs=0.1)
    kept = [model.goodput(best * factor, 60, 86400, 300) for factor in (0.5, 0.97, 1, 1.03, 2)]
    assert max(kept) == kept[2] and 0.95 < kept[2] < 1
    assert model.daly_interval(60, 20) == 20  # fails faster than it saves
    assert model.daly_interval(60, math.inf) == math.inf


def test_time_kept_against_a_simulation_of_failures():
    """Failures at random, 200,000 intervals: work between checkpoints of 50 s that take 5 s each,
    a failure every 300 s, 20 s to start again (in which it may fail again).
    """
    import numpy as np

    rng = np.random.RandomState(0)
    spent, wanted = 0.0, 20000
    for _ in range(wanted):
        while True:
            until = rng.exponential(300)
            if until >= 55:
                spent += 55
                break
            spent += until
            while True:
                again = rng.exponential(300)
                spent += min(again, 20)
                if again >= 20:
                    break
    assert model.goodput(50, 5, 300, 20) == pytest.approx(wanted * 50 / spent, rel=0.02)


sizes = st.integers(1, 4096)


@settings(deadline=None, max_examples=200)
@given(sizes, st.floats(0, 1e-2), st.floats(0, 1e-2), st.sampled_from(model.ALGORITHMS))
def test_what_must_hold(devices, latency, more, algorithm):
    cluster = changed(inner_latency=latency, outer_latency=latency, algorithm=algorithm)
    slower = changed(
        inner_latency=latency + more, outer_latency=latency + more, algorithm=algorithm
    )
    wider = dataclasses.replace(cluster, inner_bandwidth=2e9, outer_bandwidth=4e8)
    found = model.predict(cluster, devices).images_per_sec
    assert model.predict(slower, devices).images_per_sec <= found * (1 + 1e-12)
    assert model.predict(wider, devices).images_per_sec >= found * (1 - 1e-12)
    assert found <= devices * 320 * (1 + 1e-12)
    assert model.predict(cluster, 1).images_per_sec == pytest.approx(320)
    free = {'inner_bandwidth': math.inf, 'outer_bandwidth': math.inf}
    free.update(inner_latency=0.0, outer_latency=0.0)
    assert model.predict(changed(**free), devices).images_per_sec == pytest.approx(devices * 320)


def test_what_limits():
    assert model.predict(changed(inner_bandwidth=1e12), 2).limit == 'devices'
    assert model.predict(BASE, 64).limit == 'links'
    slow_input = changed(inner_bandwidth=1e12, input_images_per_sec=500)
    assert model.predict(slow_input, 8).limit == 'input'
    assert model.predict(slow_input, 8).images_per_sec == 500
    failing = changed(inner_bandwidth=1e12, checkpoint_bytes=6e9, write_bandwidth=1e8)
    failing = dataclasses.replace(failing, failures_a_device_day=1.0)
    assert model.predict(failing, 8).limit == 'failures'


def test_ranks_that_share_cores():
    """4 ranks that want a core each, on 2: half the speed, the link too."""
    shared = changed(cores=2, cores_a_device=1, backward_share=0.0)
    two, four = model.predict(shared, 2), model.predict(shared, 4)
    assert two.step_seconds == pytest.approx(0.1 + 4 * 2 * (2e-3 + 1e-4))
    assert four.step_seconds == pytest.approx(0.2 + 4 * 6 * (2e-3 + 1e-4))


# A rank with a core: 0.1 s and 0.05 s an image; an all-reduce of two: 40 ms and 100 MB/s.
FIGURES = {
    'cores': 2,
    'batch_size': 32,
    'rank_step_seconds': 0.9,
    'half_batch_step_seconds': 0.5,
    'gradient_bytes': 10e6,
    'allreduce_seconds': 0.14,
    'small_allreduce_seconds': 0.04,
}


def script(*arguments):
    return subprocess.run(
        runs.command('scripts/scaling_model.py', *map(str, arguments)),
        env=hostile.environment(),
        capture_output=True,
        text=True,
    )


def hold(path, **more):
    lines = ['turn 1: anything'] + [f'figure {k} {v}' for k, v in dict(FIGURES, **more).items()]
    path.write_text('\n'.join(lines) + '\n')
    return script('--measured', path)


def test_measured_ranks_are_predicted_by_hand(tmp_path):
    """2 ranks: 0.1 + 16 * 0.05 + 0.14. 4 ranks on 2 cores: 2 * (0.1 + 8 * 0.05), and 6 messages of
    2.5 MB at half of 100 MB/s with 20 ms each.
    """
    path = pathlib.Path(hostile.folder(tmp_path)) / 'bench.txt'
    two, four = 0.9 + 0.14, 1.0 + 6 * (0.05 + 0.02)
    done = hold(path, ranks_2_step_seconds=two * 1.1, ranks_4_step_seconds=four / 1.1)
    assert done.returncode == 0, done.stderr
    assert 'ratio predicted_over_measured_2 0.909' in done.stdout
    assert 'ratio predicted_over_measured_4 1.100' in done.stdout
    assert hold(path, ranks_2_step_seconds=two * 1.2).returncode == 1


def test_the_table_and_the_curve(tmp_path):
    plot = tmp_path / 'curve.png'
    done = script('--step_seconds', 0.1, '--batch_size', 32, '--devices', '1,4', '--plot', plot)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[:3] for row in rows[1:3]] == [['1', '320.0', '100.0%'], ['4', '1280.0', '100.0%']]
    assert plot.read_bytes()[:4] == b'\x89PNG'


@pytest.mark.parametrize(
    'arguments',
    [
        *([], ['--step_seconds=0'], ['--step_seconds=1', '--devices=0'], ['--measured=/no/such']),
        ['--step_seconds=1', '--plot=curve.foo'],
    ],
)
def test_wrong_use(arguments):
    done = script(*arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
