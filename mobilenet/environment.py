"""Refuses, in one line, an interpreter that is not the one of scripts/setup.sh. Needs none of what
that installs.
"""

import importlib.util
import os
import sys

NEEDED = ('numpy', 'google', 'tensorflow', 'PIL', 'tqdm')


def require():
    """Ends the command with status 2 where a package is missing that all of them need, or lies at
    a path from which it cannot be imported.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        _end(
            f'{sys.executable} has no {", ".join(missing)}: run scripts/setup.sh once, then '
            '`. .venv/bin/activate` in this shell'
        )
    if any('\udc80' <= character <= '\udcff' for character in sys.prefix):  # protobuf fails there
        _end(
            f'{ascii(sys.prefix)} has characters that this locale lacks: set LC_ALL=C.UTF-8, or '
            'move it to a path in ASCII'
        )


def _end(reason):
    sys.stderr.write(f'{os.path.basename(sys.argv[0])}: {reason}\n')
    sys.exit(2)
