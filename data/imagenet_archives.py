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

from data.convert import source
from mobilenet.errors import UsageError

SYNSET = re.compile(r'n\d{8}$')
IMAGE_SUFFIXES = ('.jpeg', '.jpg', '.png')


def train_synsets(train_dir):
    """Sorted synsets of the class folders. Raises UsageError without any."""
    if not os.path.isdir(train_dir):
        raise UsageError(f'{train_dir} is no folder')
    synsets = sorted(
        entry.name for entry in os.scandir(train_dir) if SYNSET.match(entry.name) and entry.is_dir()
    )
    if not synsets:
        raise UsageError(
            f'{train_dir} has no synset folders (n01440764, …): unpack each class into a folder of its own'
        )
    return synsets


def read_synsets(path):
    """The synsets of a list, one a line (text behind it is ignored), in the order of the list."""
    synsets = []
    for number, line in _lines(path):
        synset = line.split()[0]
        if not SYNSET.match(synset):
            raise UsageError(
                '%s, line %d: %r is no synset (n and eight digits)' % (path, number, synset)
            )
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
        synset, _, text = line.replace('\t', ' ', 1).partition(' ')
        if not SYNSET.match(synset):
            raise UsageError(
                '%s, line %d: %r is no synset (n and eight digits)' % (path, number, synset)
            )
        names[synset] = text.strip()
    return names


def read_boxes(path):
    """({file name: [(xmin, ymin, xmax, ymax)]}, boxes left out) of lines
    'n01440764_10040.JPEG,xmin,ymin,xmax,ymax'.

    Fractions of the image, clipped to 0..1; a box without an area is left out, as TensorFlow takes
    none.
    """
    boxes, left_out = {}, 0
    for number, line in _lines(path):
        name, *corners = line.split(',')
        try:
            xmin, ymin, xmax, ymax = (min(max(float(corner), 0.0), 1.0) for corner in corners)
        except ValueError:
            raise UsageError('%s, line %d: want FILE,xmin,ymin,xmax,ymax' % (path, number))
        if xmin < xmax and ymin < ymax:
            boxes.setdefault(name, []).append((xmin, ymin, xmax, ymax))
        else:
            left_out += 1
    return boxes, left_out


def train_sources(train_dir, synsets, names, boxes):
    """Sources of the training images, in order of synset and name. A synset without a folder raises
    UsageError.
    """
    missing = [synset for synset in synsets if not os.path.isdir(os.path.join(train_dir, synset))]
    if missing:
        more = ' (and %d more)' % (len(missing) - 1) if missing[1:] else ''
        raise UsageError(f'{train_dir} has no folder {missing[0]}{more}')
    sources = []
    for label, synset in enumerate(synsets, 1):
        sources += _labelled(os.path.join(train_dir, synset), label, synset, names, boxes)
    if not sources:
        raise UsageError(f'{train_dir} has no images in its synset folders')
    return sources


def validation_sources(validation_dir, labels_file, synset_order, synsets, names, boxes):
    """Sources of the validation images. labels_file may be None where they lie in synset folders,
    too.

    synset_order: path of the list that a labels_file of integers (1 = its first line) refers to, or
      None.
    """
    if not os.path.isdir(validation_dir):
        raise UsageError(f'{validation_dir} is no folder')
    if labels_file is None:
        if not any(os.path.isdir(os.path.join(validation_dir, synset)) for synset in synsets):
            raise UsageError(
                f'{validation_dir} has no synset folders: give the labels of its images with --validation_labels'
            )
        return [
            item
            for label, synset in enumerate(synsets, 1)
            if os.path.isdir(os.path.join(validation_dir, synset))
            for item in _labelled(os.path.join(validation_dir, synset), label, synset, names, boxes)
        ]
    file_names = _image_names(validation_dir)
    labels = read_validation_labels(labels_file, synset_order)
    if len(file_names) != len(labels):
        raise UsageError(
            '%s has %d images, %s has %d labels: they must be of the same images, in order of name'
            % (validation_dir, len(file_names), labels_file, len(labels))
        )
    numbers = {synset: label for label, synset in enumerate(synsets, 1)}
    unknown = sorted(set(labels) - set(numbers))
    if unknown:
        raise UsageError(
            '%s has the synset %s, which is not among the %d classes'
            % (labels_file, unknown[0], len(synsets))
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


def read_validation_labels(path, synset_order=None):
    """Synsets, one for each image. The lines are synsets, or integers that count from 1 through
    `synset_order`.
    """
    lines = [(number, line.split()[0]) for number, line in _lines(path)]
    if not lines:
        raise UsageError(f'{path} is empty')
    if SYNSET.match(lines[0][1]):
        for number, word in lines:
            if not SYNSET.match(word):
                raise UsageError(
                    '%s, line %d: %r is no synset, as the lines before it' % (path, number, word)
                )
        return [word for _, word in lines]
    if synset_order is None:
        # The official ground truth counts by ILSVRC2012_ID of the development kit's meta.mat, not
        # in sorted order.
        raise UsageError(
            f'{path} holds numbers: give the synsets in the order of these numbers with --synset_order'
        )
    order = read_synsets(synset_order)
    labels = []
    for number, word in lines:
        if not word.isdigit() or not 1 <= int(word) <= len(order):
            raise UsageError(
                '%s, line %d: %r is not a number from 1 to %d' % (path, number, word, len(order))
            )
        labels.append(order[int(word) - 1])
    return labels


def _labelled(folder, label, synset, names, boxes):
    text = names.get(synset, synset)
    return [
        source(os.path.join(folder, name), label, text, synset, boxes.get(name, ()))
        for name in _image_names(folder)
    ]


def _image_names(folder):
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.name.startswith('.')
    )


def _lines(path):
    """(number from 1, line) of the lines that are not blank."""
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return [(number, line.strip()) for number, line in enumerate(file, 1) if line.strip()]
    except OSError as error:
        raise UsageError(f'cannot read {path}: {error.strerror}')
