"""Outlives the launcher by a moment: when the launcher is killed, kills what its ranks started.

The kernel kills the ranks themselves with the launcher (PR_SET_PDEATHSIG), but not their
children. This little process holds the reading end of a pipe from the launcher and is told the
process group of each rank; the end of the pipe without a line `done` means that the launcher
died. Run by hccl/rank_process.py, as a script.
"""

import os
import signal
import sys


def main():
    groups = []
    for line in sys.stdin:
        if line.strip() == 'done':
            return
        groups.append(int(line))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            pass


if __name__ == '__main__':
    main()
