"""ImageNet (ILSVRC 2012) as its official archives unpack: what is there, with which label.

    train: n01440764/n01440764_10026.JPEG, …           a folder for each synset
    validation: ILSVRC2012_val_00000001.JPEG, …        flat, with a file of labels, one a line in
      order of the names

Labels run from 1 in sorted order of the synsets; 0 is the background. As TF-slim does it, except
that the few odd files (a PNG named .JPEG, 22 CMYK JPEGs) keep their bytes: the reading side takes
them. Source: tensorflow/models, research/slim/datasets/build_imagenet_data.py.
"""

import os
import re

from data import layout
from data.convert import source
from mobilenet import text
from mobilenet.errors import UsageError

SYNSET = re.compile(r'n[0-9]{8}\Z')
IMAGE_SUFFIXES = ('.jpeg', '.jpg', '.png')
KAGGLE_HEADER = ['ImageId', 'PredictionString']
MAX_BOXES_BYTES = 256 << 20  # ImageNet's 544,546 boxes take 40 MB


def train_synsets(train_dir):
    """Sorted synsets of the class folders. Raises UsageError without any."""
    if not os.path.isdir(train_dir):
        raise UsageError(f'{train_dir} is no folder{text.spelling_hint(train_dir)}')
    synsets = [name for name in layout.subfolders(train_dir) if SYNSET.match(name)]
    if not synsets:
        raise UsageError(
            f'{train_dir} has no synset folders (n01440764, …): unpack each class into a folder '
            'of its own'
        )
    return synsets


def read_synsets(path):
    """The synsets of a list, one a line (text behind it is ignored), in the order of the list."""
    synsets = []
    for number, line in _lines(path):
        synset = line.split()[0]
        _check_synset(synset, path, number)
        synsets.append(synset)
    if len(set(synsets)) != len(synsets):
        raise UsageError(f'{path} names a synset twice')
    if not synsets:
        raise UsageError(f'{path} is empty')
    return synsets


def read_names(path):
    """{synset: text} of lines like 'n01440764<tab or space>tench, Tinca tinca'."""
    names = {}
    for number, line in _lines(path):
        synset, _, name = line.replace('\t', ' ', 1).partition(' ')
        _check_synset(synset, path, number)
        names[synset] = name.strip()
    return names


def read_boxes(path):
    """({file name: [(xmin, ymin, xmax, ymax)]}, boxes left out) of lines
    'n01440764_10040.JPEG,xmin,ymin,xmax,ymax'.

    Fractions of the image, clipped to 0..1; a box without an area is left out, as TensorFlow takes
    none.
    """
    boxes, left_out = {}, 0
    for number, line in _lines(path, MAX_BOXES_BYTES):
        name, *corners = line.split(',')
        try:
            xmin, ymin, xmax, ymax = (min(max(float(corner), 0.0), 1.0) for corner in corners)
        except ValueError:
            raise UsageError(f'{path}, line {number}: want FILE,xmin,ymin,xmax,ymax')
        if xmin < xmax and ymin < ymax:
            boxes.setdefault(name, []).append((xmin, ymin, xmax, ymax))
        else:
            left_out += 1
    return boxes, left_out


def _check_synset(word, path, number, more=''):
    if not SYNSET.match(word):
        found = text.printable(word[:40])
        raise UsageError(
            f'{path}, line {number}: {found!r} is no synset (n and eight digits){more}'
        )


def train_sources(train_dir, synsets, names, boxes, notes):
    """Sources of the training images, in order of synset and name. A synset without a folder raises
    UsageError.
    """
    missing = [synset for synset in synsets if not os.path.isdir(os.path.join(train_dir, synset))]
    if missing:
        more = f' (and {len(missing) - 1} more)' if missing[1:] else ''
        raise UsageError(f'{train_dir} has no folder {missing[0]}{more}')
    sources = []
    for label, synset in enumerate(synsets, 1):
        sources += _labelled(os.path.join(train_dir, synset), label, synset, names, boxes, notes)
    if not sources:
        raise UsageError(f'{train_dir} has no images in its synset folders')
    return sources


def validation_sources(validation_dir, labels_file, synset_order, synsets, names, boxes, notes):
    """Sources of the validation images. labels_file may be None where they lie in synset folders,
    too.

    synset_order: path of the list that a labels_file of integers (1 = its first line) refers to, or
      None.
    """
    if not os.path.isdir(validation_dir):
        raise UsageError(f'{validation_dir} is no folder{text.spelling_hint(validation_dir)}')
    if labels_file is None:
        if not any(os.path.isdir(os.path.join(validation_dir, synset)) for synset in synsets):
            raise UsageError(
                f'{validation_dir} has no synset folders: give the labels of its images with '
                '--validation_labels'
            )
        return [
            item
            for label, synset in enumerate(synsets, 1)
            if os.path.isdir(os.path.join(validation_dir, synset))
            for item in _labelled(
                os.path.join(validation_dir, synset), label, synset, names, boxes, notes
            )
        ]
    file_names = _image_names(validation_dir, notes)
    labels = read_validation_labels(labels_file, file_names, synset_order)
    if len(file_names) != len(labels):
        raise UsageError(
            f'{validation_dir} has {len(file_names)} images, {labels_file} has {len(labels)} '
            'labels: they must be of the same images, in order of name'
        )
    numbers = {synset: label for label, synset in enumerate(synsets, 1)}
    unknown = sorted(set(labels) - set(numbers))
    if unknown:
        raise UsageError(
            f'{labels_file} has the synset {unknown[0]}, which is not among the {len(synsets)} '
            'classes'
        )
    return [
        source(
            os.path.join(validation_dir, name),
            numbers[synset],
            names.get(synset, synset),
            synset,
            boxes.get(name, ()),
        )
        for name, synset in zip(file_names, labels)
    ]


def read_validation_labels(path, file_names, synset_order=None):
    """Synsets, one for each image, in order of `file_names`.

    The lines are synsets in that order, or integers that count from 1 through `synset_order`, or
    each names its file: 'FILE SYNSET' or 'SYNSET FILE', and Kaggle's LOC_val_solution.csv
    (ImageId,PredictionString: 'FILE,SYNSET xmin ymin xmax ymax …'), in any order.
    """
    lines = [(number, re.findall(r'[^\s,"]+', line)) for number, line in _lines(path)]
    lines = [(number, words) for number, words in lines if words]
    if lines and lines[0][1] == KAGGLE_HEADER:
        del lines[0]
    if not lines:
        raise UsageError(f'{path} is empty')
    first = lines[0][1]
    if SYNSET.match(first[0]):
        if len(first) > 1 and layout.stem(first[1]) in map(
            layout.stem, file_names
        ):  # 'SYNSET FILE'
            return _by_name(path, [(number, words[1::-1]) for number, words in lines], file_names)
        for number, words in lines:
            _check_synset(words[0], path, number, ', as the lines before it are')
        return [words[0] for _, words in lines]
    if len(first) > 1 and not text.whole_number(first[0]):
        return _by_name(path, lines, file_names)
    if text.whole_number(first[0]) is None:
        found = text.printable(first[0][:40])
        raise UsageError(
            f'{path}, line {lines[0][0]}: {found!r} is neither a synset (n and eight digits) nor a '
            'number'
        )
    if synset_order is None:
        # The official ground truth counts by ILSVRC2012_ID of the development kit's meta.mat, not
        # in sorted order.
        raise UsageError(
            f'{path} holds numbers: give the synsets in the order of these numbers with '
            '--synset_order'
        )
    order = read_synsets(synset_order)
    labels = []
    for number, words in lines:
        label = text.whole_number(words[0]) or 0
        if not 1 <= label <= len(order):
            found = text.printable(words[0][:40])
            raise UsageError(
                f'{path}, line {number}: {found!r} is not a number from 1 to {len(order)}'
            )
        labels.append(order[label - 1])
    return labels


def _by_name(path, lines, file_names):
    """Synsets in order of `file_names`, of lines that name their file, with or without a suffix."""
    synsets = {}
    for number, words in lines:
        _check_synset(words[1] if words[1:] else '', path, number, ' behind the name of a file')
        stem = layout.stem(words[0])
        if synsets.setdefault(stem, words[1]) != words[1]:
            raise UsageError(f'{path}, line {number}: a second label for {words[0]}')
    missing = [name for name in file_names if layout.stem(name) not in synsets]
    if missing:
        more = f' (and {len(missing) - 1} more)' if missing[1:] else ''
        raise UsageError(f'{path} has no label for {missing[0]}{more}')
    return [synsets[layout.stem(name)] for name in file_names]


def _labelled(folder, label, synset, names, boxes, notes):
    class_name = names.get(synset, synset)
    return [
        source(os.path.join(folder, name), label, class_name, synset, boxes.get(name, ()))
        for name in _image_names(folder, notes)
    ]


def _image_names(folder, notes):
    """Sorted names of the images in a folder. Anything else there is left out, and said so."""
    entries = text.entries_in(folder)
    names = [
        entry.name
        for entry in entries
        if entry.name.lower().endswith(IMAGE_SUFFIXES)
        and not layout.is_left_out(entry.name)
        and not layout.is_folder(entry)
    ]
    if len(names) < len(entries):
        others = sorted({entry.name for entry in entries}.difference(names))
        notes.append(f'{folder}: {len(others)} left out (no .JPEG, .jpg or .png): {others[0]}')
    return sorted(names, key=text.utf8_name)


def _lines(path, limit=text.MAX_BYTES):
    """(number from 1, line) of the lines that are neither blank nor a comment."""
    return [(n, line) for n, line in text.read_lines(path, limit=limit) if line[0] != '#']
