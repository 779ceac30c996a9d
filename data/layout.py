"""How a folder of images is laid out: which of its folders are splits, classes, or neither.

Nothing is guessed in silence: what is left out has a line in the notes, and what looks like a split
but is not named as one is refused with the names that were expected.
"""

import difflib
import os
import re

from mobilenet import text
from mobilenet.errors import UsageError

SPLIT_NAMES = {  # the preferred one first; any case
    'train': ('train', 'training'),
    'validation': ('validation', 'val', 'valid'),
    'test': ('test', 'testing'),
}
EXPECTED = 'train (or training) and validation (or val, valid), in any case'
ADDED_WORDS = frozenset(
    ('set', 'data', 'dataset', 'image', 'images', 'img', 'imgs', 'split', 'folder', 'new', 'all')
)
# Of macOS, Windows, Synology, ext4, Python; all but the last four are folders.
SYSTEM_NAMES = frozenset(
    (
        '__macosx',
        'network trash folder',
        'temporary items',
        '$recycle.bin',
        'system volume information',
        '@eadir',
        '#recycle',
        'lost+found',
        '__pycache__',
        'thumbs.db',
        'ehthumbs.db',
        'desktop.ini',
        'icon\r',
    )
)
SPLIT_WORD = re.compile('(?i)train|valid|(?<![a-z])(val|test)')
IMAGE_SUFFIXES = ('.jpeg', '.jpg', '.png', '.bmp', '.gif', '.webp', '.tif', '.tiff')
FEW_CLASSES = 5
MANY_FILES = 1000


def is_left_out(name):
    """Hidden, or put there by an operating system or a network drive."""
    return name.startswith('.') or name.lower() in SYSTEM_NAMES


def is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def identity(path):
    """What two paths to one folder have in common."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def subfolders(folder):
    """Sorted names of the folders in a folder that may be a class or a split."""
    return sorted((e.name for e in scan(folder) if is_folder(e)), key=text.utf8_name)


def loose_images(folder):
    """The number of image files that lie in a folder itself."""
    return sum(e.name.lower().endswith(IMAGE_SUFFIXES) and not is_folder(e) for e in scan(folder))


def scan(folder):
    return [entry for entry in text.entries_in(folder) if not is_left_out(entry.name)]


def find_splits(src):
    """({split: folder}, notes): {'train': …, 'validation': …} (the second one only where it is
    there), or {None: src} where the folders of `src` are classes. Raises UsageError.
    """
    names = subfolders(src)
    nested = [name for name in names if subfolders(os.path.join(src, name))]
    # A class may be named "train"; it holds files, not classes.
    train = _named(nested, 'train')
    if not train:
        alike = _alike(src, nested)
        _refuse_near_misses(src, names, nested, alike)
        return {None: src}, alike
    validation = _named(names, 'validation')
    if not validation:
        _refuse_misspelt_validation(src, train[0], [n for n in nested if n != train[0]])
    parts = {'train': os.path.join(src, train[0])}
    if validation:
        parts['validation'] = os.path.join(src, validation[0])
        above = {identity(folder) for folder in with_parents(src)}
        if identity(parts['validation']) in above:
            raise UsageError(f'{parts["validation"]} is a link to a folder above it: remove it')
    for folder in parts.values():
        _refuse_twice(folder)
    others = [name for name in names if name not in (train[0], (validation or [''])[0])]
    notes = []
    twice = _named(others, 'train') + _named(others, 'validation')
    others = [name for name in others if name not in twice]
    if twice:
        used = ' and '.join(os.path.basename(folder) for folder in parts.values())
        notes.append(f'{src}: left out, as {used} are used: {", ".join(twice)}')
    if others:
        notes.append(
            f'{src}: left out, as neither train nor validation: {", ".join(others[:5])}'
            + (f' and {len(others) - 5} more' if others[5:] else '')
        )
    return parts, notes


def _named(names, split):
    """Those of `names` that stand for a split, the one to be used first."""
    known = SPLIT_NAMES[split]
    found = [name for name in names if name.lower() in known]
    return sorted(found, key=lambda name: (known.index(name.lower()), name != name.lower(), name))


def with_parents(folder):
    """A folder and those above it, by their real paths."""
    folder = os.path.realpath(folder)
    while True:
        yield folder
        if os.path.dirname(folder) == folder:
            return
        folder = os.path.dirname(folder)


def is_within(folder, above):
    """Whether a folder, which need not be there yet, is another one or lies in it."""
    return os.path.realpath(above) in with_parents(folder)


def resembled_split(name):
    """The split whose name this one is, or seems to be meant for, else None."""
    words = re.findall('[a-z]+', name.lower())
    for split, known in SPLIT_NAMES.items():
        if words and words[0] in known and ADDED_WORDS.issuperset(words[1:]):
            return split
    every = {name: split for split, known in SPLIT_NAMES.items() for name in known}
    close = difflib.get_close_matches(''.join(words), every, 1, 0.8)
    return every[close[0]] if close else None


def _refuse_near_misses(src, names, nested, alike):
    """Without a split `train`: refuses what seems to be meant for splits, not for classes."""
    inner, within = src, names
    while len(within) == 1:
        inner = os.path.join(inner, within[0])
        within = subfolders(inner)
        if _named(within, 'train'):
            place = os.path.relpath(inner, src)
            raise UsageError(f'{src} holds one folder, {place}, with the splits: give {inner}')
    # Sub-folders of a class are a matter of its own: only where all of them look like splits, or
    # have the same sub-folders and one of them sounds like a split.
    meant = [name for name in nested if resembled_split(name)]
    sounds_so = alike and any(SPLIT_WORD.search(name) for name in nested)
    if nested and (meant == nested or sounds_so):
        raise UsageError(
            f'{src} has class folders in {" and ".join(nested[:3])}, but no folder train: name the '
            f'splits {EXPECTED}'
        )
    if not nested and len(names) > 1 and all(resembled_split(name) for name in names):
        raise UsageError(
            f'{src} has {" and ".join(names[:3])}, but no class folders in them: put the images of '
            f'each class into a folder of its own, as {names[0]}/CLASS/IMAGE'
        )


def _alike(src, nested):
    """A line where several folders have most sub-folders in common, as splits have; else []."""
    inner = [_folders_within(os.path.join(src, name)) for name in nested]
    shared = set.intersection(*inner) if inner[1:] else ()
    if not shared or 2 * len(shared) < max(map(len, inner)):
        return []
    return [
        f'{src}: {" and ".join(nested[:3])} are taken for classes, but have the same sub-folders, '
        f'such as {min(shared)}: if these are the classes, name the splits {EXPECTED}'
    ]


def _folders_within(folder):
    """Names of the folders in a folder, or in the one that it holds (seg_train/seg_train/CLASS)."""
    names = subfolders(folder)
    below = subfolders(os.path.join(folder, names[0])) if len(names) == 1 else []
    return set(below or names)


def _refuse_twice(folder):
    """train/train/CLASS, as some archives unpack."""
    names = subfolders(folder)
    if len(names) == 1 and resembled_split(names[0]) and subfolders(os.path.join(folder, names[0])):
        raise UsageError(
            f'{folder} holds one folder, {names[0]}, with folders in it: move those up, they seem '
            'to be the classes'
        )


def _refuse_misspelt_validation(src, train, others):
    classes = set(subfolders(os.path.join(src, train)))
    for name in others:
        shared = classes.intersection(subfolders(os.path.join(src, name)))
        if resembled_split(name) == 'validation' and 2 * len(shared) >= len(classes):
            raise UsageError(
                f'{src} has {train} and {name}: name the splits {EXPECTED}, or move {name} away'
            )


def check_spelling(src, class_names):
    """Raises UsageError where two class names differ in Unicode's form only; gives a line for each
    two that differ in upper and lower case only.
    """
    seen, lines, folded = {}, [], {}
    for name in class_names:
        other = seen.setdefault(text.composed(name), name)
        if other != name:
            raise UsageError(
                f'{src} has two class folders named {text.composed(name)}, one in composed and one '
                'in decomposed Unicode (as macOS writes it): give them the same name'
            )
        other = folded.setdefault(text.composed(name).casefold(), name)
        if other != name:
            lines.append(f'{src}: the classes {other} and {name} differ only in case')
    return lines


def warnings(src, classes):
    """Lines about classes that may be none, of {class: [path]}: those without an image, and, where
    they are few, what the names of their files say.
    """
    empty = [name for name, paths in classes.items() if not paths]
    lines = []
    if empty:
        more = f' and {len(empty) - 5} more' if empty[5:] else ''
        lines.append(f'{src}: classes without an image to train on: {", ".join(empty[:5])}{more}')
    classes = {name: paths for name, paths in classes.items() if paths}
    if not classes or len(classes) + len(empty) > FEW_CLASSES:
        return lines
    if len(classes) == 1:
        return [*lines, f'{src}: one class only, {next(iter(classes))}: is it the right folder?']
    if sum(map(len, classes.values())) < MANY_FILES:
        return lines
    stems = {name: {stem(path) for path in paths} for name, paths in classes.items()}
    shared = set.intersection(*stems.values())
    if 2 * len(shared) > max(map(len, stems.values())):
        lines.append(
            f'{src}: the files of the classes {" and ".join(stems)} have the same names: are '
            'these images and what belongs to them, instead of classes?'
        )
    for name, paths in classes.items():
        beginnings = _beginnings(paths)
        if len(beginnings) > 1:
            lines.append(
                f'{src}: the files of class {name} are named {", ".join(beginnings[:3])} and so '
                'on: are these the classes?'
            )
    return lines


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def _beginnings(paths):
    """What the names of most files begin with before their number ('cat.12.jpg'), each of them
    common, else [].
    """
    counts = {}
    for path in paths:
        beginning = re.sub(r'[0-9]+$', '', stem(path))
        counts[beginning] = counts.get(beginning, 0) + 1
    common = {b: n for b, n in counts.items() if b and n >= max(20, len(paths) // 1000)}
    return sorted(common) if sum(common.values()) > 0.9 * len(paths) else []
