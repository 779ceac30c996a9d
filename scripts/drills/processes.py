"""Processes of a training, known by a mark in the environment of all it starts."""

import os
import signal

MARK = 'MOBILENET_DRILL_MARK'


def environment_of(pid):
    """{name: value} of a process; {} of one that has ended."""
    try:
        with open(f'/proc/{pid}/environ', 'rb') as f:
            entries = f.read().decode('utf-8', 'replace').split('\0')
    except OSError:
        return {}
    return dict(entry.split('=', 1) for entry in entries if '=' in entry)


def marked(mark):
    """{pid: environment} of the living processes of a training."""
    found = {int(name): environment_of(int(name)) for name in os.listdir('/proc') if name.isdigit()}
    return {pid: env for pid, env in found.items() if env.get(MARK) == mark}


def parent_of(pid):
    """The process id of a process's parent; None where it has ended."""
    try:
        with open(f'/proc/{pid}/stat') as f:
            return int(f.read().rsplit(')', 1)[1].split()[1])
    except OSError:
        return None


def kill_all(mark):
    for pid in marked(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
