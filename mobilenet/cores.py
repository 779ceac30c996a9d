"""The cores that a process may use: its affinity, and its container's CPU quota. No TensorFlow.

A container limited to two CPUs of sixty-four still sees sixty-four cores: sixty-four threads are
then stopped for most of each period. Source: Linux, Documentation/admin-guide/cgroup-v2.rst
(cpu.max) and Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us, cpu.cfs_period_us).
"""

import math
import os
import re
import zlib


def count():
    """How many cores this process may keep busy, at least 1. A share of a core counts as one."""
    affinity, limit = len(_affinity()), quota()
    return affinity if limit is None else max(1, min(affinity, math.ceil(limit)))


def allowed():
    """Sorted numbers of `count()` cores this process may run on.

    Under a quota these are neighbours from a place that depends on the host's name, so that
    containers of one machine do not all take the first ones.
    """
    cores, wanted = sorted(_affinity()), count()
    first = zlib.crc32(os.uname().nodename.encode()) % (len(cores) - wanted + 1)
    return cores[first : first + wanted]


def _affinity():
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not on macOS
        return set(range(os.cpu_count() or 1))


def quota(proc='/proc/self', root=''):
    """CPUs that the control groups of this process allow, a float, or None without a limit.

    The least over the group and those above it, of version 2 (cpu.max) and 1 (cpu.cfs_quota_us).
    proc: the folder that says which groups; root: what stands before the paths it names.
    """
    limits = []
    for mount_point, mount_root, is_v2, group in _cpu_groups(proc):
        # In a container, the group may be named as the host sees it: then only the top is visible.
        inside = os.path.relpath(group, mount_root)
        parts = [] if inside.startswith('..') else [p for p in inside.split('/') if p != '.']
        for depth in range(len(parts) + 1):
            folder = os.path.join(root + mount_point, *parts[:depth])
            limits.append(_limit_v2(folder) if is_v2 else _limit_v1(folder))
    return min((limit for limit in limits if limit is not None), default=None)


def _cpu_groups(proc):
    """[(mount point, what of the hierarchy is mounted there, version 2, this process's group)]."""
    v1_group, v2_group, found = None, None, []
    for line in _read(os.path.join(proc, 'cgroup')).splitlines():
        _, controllers, path = (line.split(':', 2) + ['', ''])[:3]
        if 'cpu' in controllers.split(','):
            v1_group = path
        elif not controllers:
            v2_group = path
    for line in _read(os.path.join(proc, 'mountinfo')).splitlines():
        before, _, behind = line.partition(' - ')
        fields, kind = before.split(' '), behind.split(' ')
        if len(fields) < 5 or len(kind) < 3:
            continue
        mount_root, mount_point = map(_unescaped, fields[3:5])
        if kind[0] == 'cgroup2' and v2_group:
            found.append((mount_point, mount_root, True, v2_group))
        elif kind[0] == 'cgroup' and 'cpu' in kind[2].split(',') and v1_group:
            found.append((mount_point, mount_root, False, v1_group))
    return found


def _limit_v2(folder):
    """cpu.max: 'max 100000' or '150000 100000'."""
    words = _read(os.path.join(folder, 'cpu.max')).split()
    return _share(words[0], words[1]) if len(words) == 2 else None


def _limit_v1(folder):
    return _share(
        _read(os.path.join(folder, 'cpu.cfs_quota_us')).strip(),
        _read(os.path.join(folder, 'cpu.cfs_period_us')).strip(),
    )


def _share(quota_us, period_us):
    """-1, 'max' and anything else that is no number mean no limit."""
    if not re.match(r'[0-9]{1,15}\Z', quota_us) or not re.match(r'[0-9]{1,15}\Z', period_us):
        return None
    return int(quota_us) / int(period_us) if int(quota_us) and int(period_us) else None


def _unescaped(path):
    """mountinfo writes a space as \\040."""
    return re.sub(r'\\([0-7]{3})', lambda match: chr(int(match.group(1), 8)), path)


def _read(path):
    try:
        with open(path, encoding='utf-8', errors='surrogateescape') as file:
            return file.read(1 << 20)
    except OSError:
        return ''
