"""Folders of class folders: which images there are, and which of them are held out."""

import collections
import os

import numpy as np

from data import layout
from data.convert import source
from mobilenet import text
from mobilenet.errors import UsageError

Listing = collections.namedtuple('Listing', 'splits places notes')
"""splits: {split: {class name: [path]}}, or {None: …} where nothing is held out yet.
places: {split: folder}. notes: lines about what was left out or looks odd.
"""


def list_splits(src):
    """The Listing of SRC/train and SRC/validation (data/layout.py has all names), or of SRC/CLASS.

    Names are in sorted order, and the classes those of all splits together: a class that one split
    lacks has an empty list there. Sub-folders of a class belong to it, each real folder once.
    Hidden and system files don't count. Raises UsageError without any class.
    """
    if not os.path.isdir(src):
        raise UsageError(f'{src} is no folder{text.spelling_hint(src)}')
    try:
        places, notes = layout.find_splits(src)
        walks = {split: _Walk(src, folder) for split, folder in places.items()}
        names = sorted({n for walk in walks.values() for n in walk.classes}, key=text.utf8_name)
        if not names:
            raise UsageError(
                f'{src} has no class folders: put the images of each class into a folder of its own'
            )
        class_names = [text.utf8_name(name) for name in names]
        notes += layout.check_spelling(src, class_names)
        splits = {
            split: dict(zip(class_names, map(walk.files, names))) for split, walk in walks.items()
        }
    except OSError as error:
        raise UsageError(f'cannot read the folder {error.filename or src}: {error.strerror}')
    for walk in walks.values():
        notes += walk.notes()
    notes += layout.warnings(src, splits.get('train', splits.get(None)))
    return Listing(splits, places, list(map(text.printable, notes)))


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


class _Walk:
    """Through the class folders of one split: each real folder is entered once, so that links in a
    circle end, and none that holds the split itself.
    """

    def __init__(self, src, folder):
        self.folder, self._left_out, self._links = folder, [], []
        self._loose = layout.loose_images(folder)
        above = [*layout.with_parents(src), *layout.with_parents(folder)]
        self._seen = {layout.identity(place) for place in above}
        self.classes = []
        for entry in text.entries_in(folder):
            if layout.is_left_out(entry.name):
                self._left_out.append(entry.path)
        for name in layout.subfolders(folder):
            if self._is_new(os.path.join(folder, name)):
                self.classes.append(name)

    def files(self, name):
        """The files under class folder `name`, in sorted order; without that folder, none."""
        if name not in self.classes:
            return []
        return self._under(os.path.join(self.folder, name))

    def _under(self, folder):
        paths, waiting = [], [folder]
        while waiting:
            place, within = waiting.pop(), []
            if place != folder and not self._is_new(place):
                continue
            for entry in sorted(text.entries_in(place), key=lambda e: text.utf8_name(e.name)):
                if layout.is_left_out(entry.name):
                    self._left_out.append(entry.path)
                else:
                    (within if layout.is_folder(entry) else paths).append(entry.path)
            waiting += reversed(within)
        return paths

    def _is_new(self, folder):
        place = layout.identity(folder)
        if place in self._seen:
            self._links.append(folder)
            return False
        self._seen.add(place)
        return True

    def notes(self):
        """Lines about what was left out."""
        return [
            _note(self.folder, paths, what)
            for paths, what in (
                (self._left_out, 'hidden or system'),
                (self._links, 'linked to a folder that is counted already'),
            )
            if paths
        ] + [f'{self.folder}: {self._loose} images in no class folder left out'] * bool(self._loose)


def _note(folder, paths, what):
    first = os.path.relpath(min(paths), folder)
    return f'{folder}: {len(paths)} left out ({what}): {first}' + ', …' * (len(paths) > 1)
