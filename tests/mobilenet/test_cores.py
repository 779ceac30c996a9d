"""Cores under a container's quota: control groups laid out as Linux, Docker and Kubernetes do."""

import os

import pytest

from mobilenet import cores

V2 = '25 1 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n'
V1 = (
    '24 1 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n'
    '25 24 0:22 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n'
    '26 24 0:23 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n'
)


def quota(folder, groups, mounts, files):
    """cores.quota of a system with these files."""
    proc = folder / 'proc'
    proc.mkdir()
    (proc / 'cgroup').write_text(groups)
    (proc / 'mountinfo').write_text(mounts)
    for path, content in files.items():
        place = folder / 'sys/fs/cgroup' / path
        os.makedirs(str(place.parent), exist_ok=True)
        place.write_text(content)
    return cores.quota(str(proc), str(folder))


@pytest.mark.parametrize(
    'group,files,expected',
    [
        ('/', {'cpu.max': '150000 100000\n'}, 1.5),  # a container of its own namespace
        ('/', {'cpu.max': 'max 100000\n'}, None),
        ('/', {}, None),  # the top of a machine has no cpu.max
        ('/a/b', {'a/cpu.max': '200000 100000\n', 'a/b/cpu.max': 'max 100000\n'}, 2),
        ('/a/b', {'a/cpu.max': '800000 100000\n', 'a/b/cpu.max': '50000 100000\n'}, 0.5),
        ('/../x', {'cpu.max': '300000 100000\n'}, 3),  # outside of what is visible here
        ('/', {'cpu.max': 'nonsense'}, None),
        ('/', {'cpu.max': '100000 0\n'}, None),
        ('/', {'cpu.max': '-5 ²\n'}, None),
    ],
)
def test_version_2(tmp_path, group, files, expected):
    assert quota(tmp_path, f'0::{group}\n', V2, files) == expected


@pytest.mark.parametrize(
    'root,group,quota_us,expected',
    [
        ('/', '/', '250000', 2.5),
        ('/', '/', '-1', None),
        ('/docker/abc', '/docker/abc', '400000', 4),  # the group's own folder is mounted
        ('/', '/docker/abc', '400000', 4),  # named as the host sees it: only the top is there
        ('/docker/abc', '/', '400000', 4),
    ],
)
def test_version_1(tmp_path, root, group, quota_us, expected):
    files = {
        'cpu,cpuacct/cpu.cfs_quota_us': quota_us + '\n',
        'cpu,cpuacct/cpu.cfs_period_us': '100000\n',
    }
    groups = f'5:cpuset:/other\n4:cpu,cpuacct:{group}\n0::/\n'
    assert quota(tmp_path, groups, V1.format(root=root), files) == expected


def test_no_control_groups(tmp_path):
    assert cores.quota(str(tmp_path / 'none')) is None


@pytest.mark.parametrize('limit,expected', [(None, 8), (2, 2), (1.5, 2), (0.2, 1), (64, 8)])
def test_the_smaller_of_affinity_and_quota(monkeypatch, limit, expected):
    monkeypatch.setattr(cores, '_affinity', lambda: set(range(4, 12)))
    monkeypatch.setattr(cores, 'quota', lambda: limit)
    assert cores.count() == expected
    allowed = cores.allowed()
    assert len(allowed) == expected and set(allowed) <= set(range(4, 12))
    assert allowed == list(range(allowed[0], allowed[0] + expected))
