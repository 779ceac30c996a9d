"""A folder whose name breaks what quotes, splits, globs or decodes paths, and an environment that
knows nothing but ASCII.
"""

import os

from tests.helpers import runs

NAME = b"a [1] it's \xe4\xbd\xa0 caf\xe9"  # the last byte is no UTF-8


def folder(parent, *names):
    """Makes the folder NAME (and one below it) in `parent`; gives its path as a str."""
    path = os.path.join(str(parent), os.fsdecode(NAME), *names)
    os.makedirs(path, exist_ok=True)
    return path


def environment(encoding='ascii', **extra):
    """That of a command in the C locale, its terminal in `encoding` ('': as the locale says)."""
    env = runs.environment(LC_ALL='C', PYTHONIOENCODING=encoding, **extra)
    return {k: v for k, v in env.items() if not k.startswith('LANG') and k != 'PYTHONUTF8'}
