"""Data sets by name: their records, labels and class names. No TensorFlow here.

A data set has `num_examples`, `num_classes`, `class_names` (a list, or None where there are no
names), `read(i)`, `locate(i)` (file, record number or None) and `describe(i)` ("FILE, record N"),
`summary` (a line: classes, images, where held-out ones come from) and `notes` (lines about what was
left out, or looks odd). Reading raises BadRecord, opening UsageError.
"""

import os

import numpy as np

from data.folder_dataset import FolderDataset
from data.slim_dataset import IMAGENET_CLASSES, TFRecordDataset
from mobilenet import text
from mobilenet.errors import UsageError

DATASET_NAMES = ('imagenet', 'digits', 'synthetic', 'folder')
SPLITS = ('train', 'validation')
IMAGENET_TRAIN_EXAMPLES = 1281167
IMAGENET_VALIDATION_EXAMPLES = 50000


def open_dataset(name, dataset_dir=None, split='train', on_bad_record='stop', apply_exif=False):
    """Opens a data set: 'imagenet' and any TFRecords in slim's layout, 'digits', 'synthetic' or
    'folder'.

    apply_exif: turn and mirror the images of a folder as their EXIF data says.

    Raises UsageError where it is not there, is empty, is damaged (with 'stop') or its labels are
    out of range.
    """
    if name not in DATASET_NAMES:
        raise UsageError(
            'no data set is named {!r}: use one of {}'.format(name, ', '.join(DATASET_NAMES))
        )
    if split not in SPLITS:
        raise UsageError(f'no split is named {split!r}: use train or validation')
    if apply_exif and name != 'folder':
        raise UsageError('--apply_exif is for --dataset_name=folder; records are turned when made')
    if name == 'synthetic':
        return SyntheticDataset(split)
    if name == 'digits':
        from data import digits

        dataset_dir = digits.ensure(dataset_dir)
    if not dataset_dir:
        raise UsageError(f'--dataset_name={name} needs --dataset_dir, the folder of its files')
    if not os.path.isdir(dataset_dir):
        hint = text.spelling_hint(dataset_dir)
        raise UsageError(f'no such folder: {dataset_dir} (--dataset_dir){hint}')
    if name == 'folder':
        return FolderDataset(dataset_dir, split, apply_exif)
    return TFRecordDataset(dataset_dir, split, on_bad_record)


def open_split(config, split):
    """The data set that a command's flags name."""
    return open_dataset(
        config.dataset_name, config.dataset_dir, split, config.on_bad_record, config.apply_exif
    )


def fingerprint(dataset):
    """What tells one data set from another, to be kept beside a run and compared when it goes on.

    A dict: `records`, `files`, `digest` (of the names, sizes and counts of files, in order; not of
    their contents), `num_classes`, `class_names` (a list in order of label, or None).
    """
    return dict(
        dataset.fingerprint(),
        records=dataset.num_examples,
        num_classes=dataset.num_classes,
        class_names=dataset.class_names,
    )


class SyntheticDataset:
    """As large as ImageNet, read from nowhere: a few noise images, to measure all but the input."""

    POOL = 32
    notes = ()

    def __init__(self, split):
        self.num_examples = (
            IMAGENET_TRAIN_EXAMPLES if split == 'train' else IMAGENET_VALIDATION_EXAMPLES
        )
        self.num_classes, self.class_names, self.errors = IMAGENET_CLASSES, None, []
        self.summary = f'synthetic: {self.num_classes} classes, {self.num_examples} images of noise'

    def fingerprint(self):
        """See `fingerprint`."""
        return {'files': 0, 'digest': 'synthetic'}

    def describe(self, record):
        return f'synthetic, record {record}'

    def images(self, image_size):
        """uint8 [POOL, image_size, image_size, 3]; record i shows image i % POOL."""
        return np.random.RandomState(0).randint(
            0, 256, [self.POOL, image_size, image_size, 3], dtype=np.uint8
        )

    def label(self, records):
        """int32 labels of records, 1 to 1000: the background has no images."""
        return (1 + np.asarray(records) % (self.num_classes - 1)).astype(np.int32)
