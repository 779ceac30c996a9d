"""scikit-learn's 1,797 handwritten digits (8x8, grey, 10 classes), written once as TFRecords in
slim's layout.

Every fifth image is held out as the split `validation` (359), the others are `train` (1,438).
Labels are 0 to 9, with no background class. Source: E. Alpaydin, C. Kaynak, "Optical Recognition of
Handwritten Digits", UCI repository, 1998.
"""

import io
import os
import shutil
import tempfile
import time

from data import examples, tfrecord
from mobilenet import text
from mobilenet.errors import UsageError

CLASS_NAMES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')
TRAIN_SHARDS = 2
NUM_EXAMPLES = {
    examples.shard_name('train', 0, TRAIN_SHARDS): 719,
    examples.shard_name('train', 1, TRAIN_SHARDS): 719,
    examples.shard_name('validation', 0, 1): 359,
}
LABELS_FILE = 'labels.txt'
PARTIAL_PREFIX = '.partial-digits-'
# A process killed while writing leaves its temporary folder behind. Writing takes a second: after
# an hour nobody owns it.
STALE_SECONDS = 3600


def ensure(dataset_dir=None):
    """Returns the folder of the digits, writing them first where they are not yet, or not whole.

    Any number of processes may call this at once: each file is put in place by a rename, and
    everyone's files are equal bit for bit. Raises UsageError where the folder cannot be written or
    holds another data set.
    """
    folder = dataset_dir or text.cache_dir('digits')
    try:
        if not _is_whole(folder):
            _refuse_other_data_set(folder)
            _write(folder)
    except OSError as error:
        raise UsageError(
            f'cannot write the digits to {folder}: {error.strerror or error}; name another folder '
            'with --dataset_dir'
        )
    return folder


def _is_whole(folder):
    """Whether every file is there with all its records, so that neither a kill nor a full disk
    leaves a torn set in use.
    """
    if not os.path.isfile(os.path.join(folder, LABELS_FILE)):
        return False
    for name, num_examples in NUM_EXAMPLES.items():
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            return False
        offsets, _, error = tfrecord.scan(path)
        if error is not None or len(offsets) != num_examples:
            return False
    return True


def _refuse_other_data_set(folder):
    if not os.path.isdir(folder):
        return
    for name in sorted(os.listdir(folder)):
        is_shard = name.split('-')[0] in examples.SPLITS and '.partial' not in name
        if is_shard and name not in NUM_EXAMPLES:
            raise UsageError(
                f'{folder} holds another data set ({name}): give --dataset_dir a folder of its '
                'own for the digits'
            )
    labels = os.path.join(folder, LABELS_FILE)
    if os.path.isfile(labels):
        if text.read_text(labels).splitlines() != examples.labels_text(CLASS_NAMES).splitlines():
            raise UsageError(
                f'{labels} is of another data set: give --dataset_dir a folder of its own for the '
                'digits'
            )


def _write(folder):
    os.makedirs(folder, exist_ok=True)
    _remove_stale(folder)
    # Within the folder itself: its parent may be read-only or another file system.
    partial = tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=folder)
    try:
        records = _records()
        for name in NUM_EXAMPLES:
            with tfrecord.TFRecordWriter(os.path.join(partial, name)) as writer:
                for record in records[name]:
                    writer.write(record)
        with open(os.path.join(partial, LABELS_FILE), 'w', encoding='utf-8') as file:
            file.write(examples.labels_text(CLASS_NAMES))
        for name in list(NUM_EXAMPLES) + [LABELS_FILE]:
            os.replace(os.path.join(partial, name), os.path.join(folder, name))
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_stale(folder):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith(PARTIAL_PREFIX) and time.time() - os.path.getmtime(path) > STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _records():
    """File name -> list of records. The images alternate between the shards."""
    images, labels = _load()
    records = {name: [] for name in NUM_EXAMPLES}
    train_names = [name for name in NUM_EXAMPLES if name.startswith('train')]
    num_train = 0
    for index, (image, label) in enumerate(zip(images, labels)):
        if index % 5 == 4:
            name = examples.shard_name('validation', 0, 1)
        else:
            name = train_names[num_train % TRAIN_SHARDS]
            num_train += 1
        height, width = image.shape
        records[name].append(
            examples.image_example(
                _png(image),
                'PNG',
                height,
                width,
                1,
                int(label),
                f'digit_{index:04d}.png',
                text=CLASS_NAMES[label],
            )
        )
    return records


def _load():
    """(images uint8 [1797, 8, 8] in 0..255, labels int64 [1797])"""
    try:
        from sklearn import datasets
    except ImportError:
        raise UsageError(
            'the digits come with scikit-learn: pip install scikit-learn, or run scripts/setup.sh'
        )
    digits = datasets.load_digits()
    return (digits.images * (255.0 / 16.0) + 0.5).astype('uint8'), digits.target


def _png(image):
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, 'PNG')
    return out.getvalue()
