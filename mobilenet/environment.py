"""Refuses, in one line, an interpreter that is not the one of scripts/setup.sh. Needs none of what
that installs.
"""

import importlib.util
import os
import sys

NEEDED = ('numpy', 'google', 'tensorflow', 'PIL', 'tqdm')


def require():
    """Ends the command with status 2 where a package is missing that all of them need."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f'{os.path.basename(sys.argv[0])}: {sys.executable} has no {", ".join(missing)}: run '
            'scripts/setup.sh once, then `. .venv/bin/activate` in this shell\n'
        )
        sys.exit(2)
