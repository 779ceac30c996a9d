"""TFRecord files in TF-slim's layout as a data set: train-00000-of-01024, …, and labels.txt."""

import os
import re

from data import digest, example_proto, layout
from data.tfrecord import BadRecord, RecordFiles
from mobilenet import text
from mobilenet.errors import UsageError, bad_record

IMAGENET_CLASSES = 1001  # 0 is the background
# Labels of so many records are looked at when a data set is opened: all of a small one.
LABELS_CHECKED = 500
SHARD = re.compile(r'-([0-9]+)-of-([0-9]+)\Z')


def read_labels_file(path):
    """Slim's labels.txt, "0:background" a line, names by label; None without a file."""
    if not os.path.lexists(path):
        return None
    names = {}
    for number, line in text.read_lines(path):
        digits, colon, class_name = line.partition(':')
        label = text.whole_number(digits.strip())
        if not colon or label is None or label in names:
            found = text.printable(line[:80])
            raise UsageError(
                f'{path}, line {number}: expected "LABEL:NAME" with each label once, '
                f'found {found!r}'
            )
        names[label] = class_name
    if not names:
        raise UsageError(f'{path} is empty: it needs a line "LABEL:NAME" for each class')
    if len(names) < max(names):  # a missing 0 is the unnamed background
        raise UsageError(f'{path} names {len(names)} classes but its largest label is {max(names)}')
    return [names.get(label, 'background') for label in range(max(names) + 1)]


def shard_paths(dataset_dir, split):
    """The files SPLIT-00000-of-00128 of a folder in order, all of them there."""
    names = text.names_in(dataset_dir)
    shards = {}
    for name in names:
        match = SHARD.search(name)
        if match and name.startswith(split + '-'):
            shards.setdefault(int(match.group(2)), []).append((int(match.group(1)), name))
    if not shards:
        raise UsageError(_why_no_shards(dataset_dir, split, names))
    if len(shards) > 1:
        totals = ' and of '.join(f'{total:05d}' for total in sorted(shards))
        raise UsageError(
            f'{dataset_dir} holds {split} files of several data sets (of {totals}): keep one'
        )
    ((total, found),) = shards.items()
    missing = sorted({*range(min(total, 10**6))}.difference(index for index, _ in found))
    if missing:
        raise UsageError(
            f'{len(missing)} of the {total} {split} files are missing in {dataset_dir}, the first '
            f'is {split}-{missing[0]:05d}-of-{total:05d}'
        )
    found.sort()
    if len(found) > total:
        extra = next(name for i, (index, name) in enumerate(found) if index != i or i == total)
        raise UsageError(
            f'{dataset_dir} holds {len(found)} {split} files, and their names say {total}: '
            f'{extra} is one too many'
        )
    return [os.path.join(dataset_dir, name) for _, name in found]


def _why_no_shards(dataset_dir, split, names):
    wanted, said = f'{split}-00000-of-00128', '|'.join(layout.SPLIT_NAMES[split])
    for name in filter(re.compile(f'(?i)(?<![a-z])({said})(?![a-z])').search, names):
        if re.search(r'[0-9]\.(gz|gzip|zlib|zip|bz2|xz|zst)\Z', name):
            return f'{dataset_dir}: {name} is compressed: unpack it to {os.path.splitext(name)[0]}'
        numbers = re.search('([0-9]+)[-_.]?of[-_.]?([0-9]+)', name)
        if numbers or '.tfrecord' in name.lower():
            if numbers:
                wanted = '{}-{:05d}-of-{:05d}'.format(split, *map(int, numbers.groups()))
            return (
                f'{dataset_dir}: {name} is not named as the files of a data set are: rename it '
                f'(or link to it) as {wanted}, and the others alike, counted from 00000'
            )
    others = sorted({name.split('-')[0] for name in names if SHARD.search(name)})
    if others:
        return f'{dataset_dir} has {" and ".join(others[:3])} files, but no {wanted} and so on'
    return (
        f'no files {wanted} and so on in {dataset_dir}: convert the data set, or give the folder '
        'that holds them as --dataset_dir'
    )


class TFRecordDataset:
    """TFRecords in slim's layout. `errors` lists what the index had to leave out (BadRecord)."""

    notes = ()

    def __init__(self, dataset_dir, split, on_bad_record='stop'):
        self.class_names = read_labels_file(os.path.join(dataset_dir, 'labels.txt'))
        self.num_classes = len(self.class_names) if self.class_names else IMAGENET_CLASSES
        self.files = RecordFiles(shard_paths(dataset_dir, split))
        self.errors = self.files.errors
        if self.errors and on_bad_record == 'stop':
            raise bad_record(self.errors[0].place, self.errors[0].reason)
        self.num_examples = len(self.files)
        if not self.num_examples:
            first = f': {self.errors[0]}' if self.errors else ''
            raise UsageError(f'no record in the {split} files of {dataset_dir} can be read{first}')
        self.summary = text.printable(
            f'{dataset_dir}: {self.num_classes} classes, {self.num_examples} images in '
            f'{len(self.files.paths)} {split} files' + _other_split(dataset_dir, split)
        )
        if on_bad_record == 'stop':
            self._check_labels()

    def locate(self, record):
        return self.files.locate(record)

    def describe(self, record):
        return BadRecord(*self.files.locate(record), reason='').place

    def read(self, record):
        """The Record. Raises BadRecord: wrong checksum, no Example or image, label out of range."""
        try:
            return example_proto.parse(self.files.read(record), self.num_classes)
        except ValueError as error:
            raise BadRecord(*self.files.locate(record), reason=str(error))

    def will_read(self, record):
        self.files.will_read(record)

    def fingerprint(self):
        """See data.datasets.fingerprint."""
        rows = [
            (os.path.basename(path), digest.size_of(path), count)
            for path, count in zip(self.files.paths, self.files.counts())
        ]
        return {'files': len(rows), 'digest': digest.of_rows(rows)}

    def changed_ns(self):
        """When the last of its files was changed."""
        return max(map(digest.changed_ns, self.files.paths))

    def _check_labels(self):
        """Labels that do not fit labels.txt show in a sample already, before any graph is built."""
        step = max(1, self.num_examples // LABELS_CHECKED)
        for record in range(0, self.num_examples, step):
            try:
                self.read(record)
            except BadRecord as error:
                raise bad_record(error.place, error.reason)


def _other_split(dataset_dir, split):
    """Where images to evaluate on come from, said beside those to train on."""
    if split != 'train':
        return ''
    count = sum(
        name.startswith('validation-') and bool(SHARD.search(name))
        for name in os.listdir(dataset_dir)
    )
    return f', {count} validation files held out' if count else ', none held out (no validation-*)'
