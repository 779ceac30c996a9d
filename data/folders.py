"""Folders of class folders: which images there are, and which of them are held out."""

import os

import numpy as np

from data.convert import source
from mobilenet.errors import UsageError

VALIDATION_NAMES = ('validation', 'val')


def list_splits(src):
    """{split: {class name: [path]}} of SRC/train and SRC/validation (or val), or {None: …} of
    SRC/CLASS.

    Names are in sorted order, and the classes those of all splits together: a class that one split
    lacks has an empty list there. Sub-folders of a class belong to it; hidden files don't count.
    Raises UsageError without any class.
    """
    if not os.path.isdir(src):
        raise UsageError(f'{src} is no folder')
    parts = {None: src}
    train = os.path.join(src, 'train')
    # A class may be named "train"; it holds files, not classes.
    if os.path.isdir(train) and _subfolders(train):
        parts = {'train': train}
        for name in VALIDATION_NAMES:
            if os.path.isdir(os.path.join(src, name)):
                parts['validation'] = os.path.join(src, name)
                break
    class_names = sorted({name for folder in parts.values() for name in _subfolders(folder)})
    if not class_names:
        raise UsageError(
            f'{src} has no class folders: put the images of each class into a folder of its own'
        )
    return {
        split: {name: _files(os.path.join(folder, name)) for name in class_names}
        for split, folder in parts.items()
    }


def hold_out(classes, share=None, every=None, seed=0):
    """Splits {class: [path]} into (train, validation) of the same form.

    share: that part of each class (at least one image where it has two or more), drawn by `seed`;
    or every: each `every`-th image, counted through all classes in order.
    """
    train, validation, position = {}, {}, 0
    rng = np.random.RandomState(seed)
    for name, paths in classes.items():
        if every is not None:
            held = {i for i in range(len(paths)) if (position + i + 1) % every == 0}
            position += len(paths)
        else:
            count = int(len(paths) * share + 0.5)
            count = min(max(count, 1), len(paths) - 1) if share > 0 and len(paths) > 1 else 0
            held = set(rng.permutation(len(paths))[:count].tolist())
        train[name] = [path for i, path in enumerate(paths) if i not in held]
        validation[name] = [path for i, path in enumerate(paths) if i in held]
    return train, validation


def sources(classes):
    """The images of {class: [path]} with their labels, 0 for the first class."""
    return [
        source(path, label, name)
        for label, (name, paths) in enumerate(classes.items())
        for path in paths
    ]


def _subfolders(folder):
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir() and not entry.name.startswith('.')
    )


def _files(folder):
    """All files under a class folder, in sorted order; a folder that is not there has none."""
    paths = []
    for where, subfolders, names in os.walk(folder, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith('.'))
        paths += [os.path.join(where, name) for name in sorted(names) if not name.startswith('.')]
    return paths
