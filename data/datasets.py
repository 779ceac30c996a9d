"""Data sets by name: their records, labels and class names. No TensorFlow here.

A data set has `num_examples`, `num_classes`, `class_names` (a list, or None where there are no
names), `read(i)`, `locate(i)` (file, record number or None) and `describe(i)` ("FILE, record N").
Reading raises BadRecord, opening UsageError.
"""

import collections
import glob
import os
import re

import numpy as np

from data import example_proto, folders
from data.tfrecord import BadRecord, RecordFiles
from mobilenet.errors import UsageError

DATASET_NAMES = ('imagenet', 'digits', 'synthetic', 'folder')
SPLITS = ('train', 'validation')
IMAGENET_CLASSES = 1001  # 0 is the background
IMAGENET_TRAIN_EXAMPLES = 1281167
IMAGENET_VALIDATION_EXAMPLES = 50000
# Labels of so many records are looked at when a data set is opened: all of a small one.
LABELS_CHECKED = 500

# encoded: bytes of the image file; label: int; boxes: float32 [m, 4] as ymin, xmin, ymax, xmax in
# 0..1.
Record = collections.namedtuple('Record', 'encoded label boxes')


def open_dataset(name, dataset_dir=None, split='train', on_bad_record='stop'):
    """Opens a data set: 'imagenet' and any TFRecords in slim's layout, 'digits', 'synthetic' or
    'folder'.

    Raises UsageError where it is not there, is empty, is damaged (with 'stop') or its labels are
    out of range.
    """
    if name not in DATASET_NAMES:
        raise UsageError(
            'no data set is named {!r}: use one of {}'.format(name, ', '.join(DATASET_NAMES))
        )
    if split not in SPLITS:
        raise UsageError(f'no split is named {split!r}: use train or validation')
    if name == 'synthetic':
        return SyntheticDataset(split)
    if name == 'digits':
        from data import digits

        dataset_dir = digits.ensure(dataset_dir)
    if not dataset_dir:
        raise UsageError(f'--dataset_name={name} needs --dataset_dir, the folder of its files')
    if not os.path.isdir(dataset_dir):
        raise UsageError(f'no such folder: {dataset_dir} (--dataset_dir)')
    if name == 'folder':
        return FolderDataset(dataset_dir, split)
    return TFRecordDataset(dataset_dir, split, on_bad_record)


def read_labels_file(path):
    """Slim's labels.txt, "0:background" a line, names by label; None without a file."""
    if not os.path.exists(path):
        return None
    names = {}
    with open(path, encoding='utf-8', errors='replace') as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            label, colon, class_name = line.rstrip('\r\n').partition(':')
            if not colon or not label.strip().isdigit() or int(label) in names:
                raise UsageError(
                    '%s, line %d: expected "LABEL:NAME" with each label once, found %r'
                    % (path, number, line.strip())
                )
            names[int(label)] = class_name
    if not names:
        raise UsageError(f'{path} is empty: it needs a line "LABEL:NAME" for each class')
    if len(names) < max(names):  # a missing 0 is the unnamed background
        raise UsageError(
            '%s names %d classes but its largest label is %d' % (path, len(names), max(names))
        )
    return [names.get(label, 'background') for label in range(max(names) + 1)]


def shard_paths(dataset_dir, split):
    """The files SPLIT-00000-of-00128 of a folder in order, all of them there."""
    paths = sorted(glob.glob(os.path.join(glob.escape(dataset_dir), split + '-*-of-*')))
    paths = [path for path in paths if re.search(r'-\d+-of-\d+$', path)]
    if not paths:
        raise UsageError(
            f'no files {split}-00000-of-00128 and so on in {dataset_dir}: convert the data set, or '
            'give the folder that holds them as --dataset_dir'
        )
    totals = sorted({int(path.rsplit('-', 1)[1]) for path in paths})
    if len(totals) > 1:
        raise UsageError(
            '{} holds {} files of several data sets (of {}): keep one'.format(
                dataset_dir, split, ' and of '.join('%05d' % n for n in totals)
            )
        )
    present = {int(path.rsplit('-', 3)[1]) for path in paths}
    missing = sorted(set(range(totals[0])) - present)
    if missing:
        raise UsageError(
            '%d of the %d %s files are missing in %s, the first is %s-%05d-of-%05d'
            % (len(missing), totals[0], split, dataset_dir, split, missing[0], totals[0])
        )
    return paths


class TFRecordDataset:
    """TFRecords in slim's layout. `errors` lists what the index had to leave out (BadRecord)."""

    def __init__(self, dataset_dir, split, on_bad_record='stop'):
        self.class_names = read_labels_file(os.path.join(dataset_dir, 'labels.txt'))
        self.num_classes = len(self.class_names) if self.class_names else IMAGENET_CLASSES
        self.files = RecordFiles(shard_paths(dataset_dir, split))
        self.errors = self.files.errors
        if self.errors and on_bad_record == 'stop':
            raise UsageError(
                f'{self.errors[0]}; mend or convert that file again, or leave it out with '
                '--on_bad_record=skip'
            )
        self.num_examples = len(self.files)
        if not self.num_examples:
            raise UsageError(f'there is not one record in the {split} files of {dataset_dir}')
        if on_bad_record == 'stop':
            self._check_labels()

    def locate(self, record):
        return self.files.locate(record)

    def describe(self, record):
        return '%s, record %d' % self.files.locate(record)

    def read(self, record):
        """The Record. Raises BadRecord: wrong checksum, no Example or image, label out of range."""
        try:
            encoded, label, boxes = example_proto.parse(self.files.read(record))
            return Record(encoded, example_proto.checked_label(label, self.num_classes), boxes)
        except ValueError as error:
            raise BadRecord(*self.files.locate(record), reason=str(error))

    def will_read(self, record):
        self.files.will_read(record)

    def _check_labels(self):
        """Labels that do not fit labels.txt show in a sample already, before any graph is built."""
        step = max(1, self.num_examples // LABELS_CHECKED)
        for record in range(0, self.num_examples, step):
            try:
                self.read(record)
            except BadRecord as error:
                raise UsageError(f'{error}; mend the data set, or give --on_bad_record=skip')


class FolderDataset:
    """Folders of images, one a class: DIR/train/CLASS/IMAGE and DIR/validation/CLASS/IMAGE, or
    DIR/CLASS/IMAGE.

    Classes are numbered from 0 in order of name. Without a folder train, every fifth image (counted
    through all classes in order of name) is held out for validation. Hidden files are left alone;
    any other file has to be an image.
    """

    def __init__(self, dataset_dir, split):
        splits = folders.list_splits(dataset_dir)
        if None in splits:
            train, validation = folders.hold_out(splits[None], every=5)
            splits = {'train': train, 'validation': validation}
        if split not in splits:
            raise UsageError(
                f'{dataset_dir} has a folder train but none named validation: make one with the '
                'same class folders'
            )
        self.class_names = list(splits[split])
        self.num_classes, self.errors = len(self.class_names), []
        self._files = [
            (path, label) for label, paths in enumerate(splits[split].values()) for path in paths
        ]
        self.num_examples = len(self._files)
        if not self.num_examples:
            raise UsageError(
                f'no {split} images in {dataset_dir}: put the images of each class into a folder of '
                'its own, at least 5 images in all'
            )

    def locate(self, record):
        return self._files[record][0], None

    def describe(self, record):
        return self._files[record][0]

    def read(self, record):
        """The Record. Raises BadRecord where the file cannot be read or is empty."""
        path, label = self._files[record]
        try:
            with open(path, 'rb') as file:
                encoded = file.read()
        except OSError as error:
            raise BadRecord(path, None, error.strerror or str(error))
        if not encoded:
            raise BadRecord(path, None, 'the file is empty')
        return Record(encoded, label, example_proto.NO_BOXES)

    def will_read(self, record):
        """Opening the file ahead would cost as much as it saves."""


class SyntheticDataset:
    """As large as ImageNet, read from nowhere: a few noise images, to measure all but the input."""

    POOL = 32

    def __init__(self, split):
        self.num_examples = (
            IMAGENET_TRAIN_EXAMPLES if split == 'train' else IMAGENET_VALIDATION_EXAMPLES
        )
        self.num_classes, self.class_names, self.errors = IMAGENET_CLASSES, None, []

    def describe(self, record):
        return 'synthetic, record %d' % record

    def images(self, image_size):
        """uint8 [POOL, image_size, image_size, 3]; record i shows image i % POOL."""
        return np.random.RandomState(0).randint(
            0, 256, [self.POOL, image_size, image_size, 3], dtype=np.uint8
        )

    def label(self, records):
        """int32 labels of records, 1 to 1000: the background has no images."""
        return (1 + np.asarray(records) % (self.num_classes - 1)).astype(np.int32)
