"""Ends the process as the adapter's LOG(FATAL) does: reason on stderr, SIGABRT's exit status."""

import os
import sys

STATUS = 134  # 128 + SIGABRT, as a shell reports an abort


def fatal(reason):
    sys.stdout.flush()
    sys.stderr.write(f'F tf_adapter (simulated) {reason}\n')
    sys.stderr.flush()
    os._exit(STATUS)
