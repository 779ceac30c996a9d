"""Arrays kept in the user's cache folder: what is lost there is made again."""

import os
import tempfile

import numpy as np

from mobilenet import text


def path(kind, key):
    return os.path.join(text.cache_dir(kind), key + '.npz')


def load(path):
    """{name: array}, or None where there is none, or one that a full disk left damaged."""
    try:
        with np.load(path) as saved:
            return {name: saved[name] for name in saved.files}
    except Exception:  # np.load raises five kinds
        return None


def save(path, **arrays):
    """Saved aside and renamed, so that ranks that start together never read a half.

    A folder that cannot be written to is no reason to fail: the work is done again next time.
    """
    partial = None
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=os.path.dirname(path))
        with os.fdopen(handle, 'wb') as out:
            np.savez(out, **arrays)
        os.replace(partial, path)
    except OSError:
        if partial and os.path.exists(partial):
            os.remove(partial)


def remove(path):
    try:
        os.remove(path)
    except OSError:
        pass
