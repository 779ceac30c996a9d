"""Checks a data set ahead of a long run: every record is read and decoded as training would.

    python scripts/check_dataset.py DIR [--split train]

Looks for files that are missing, empty, damaged or truncated, wrong checksums, records that are no
examples, images that cannot be decoded, labels out of range, and images that occur twice. Each
finding is a line on stdout that names file and record. Exit status: 0 nothing found, 1 findings, 2
no data set there.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np

import data
from data import convert, folders, verify
from data.progress import Progress
from mobilenet import flag_types
from mobilenet.errors import UsageError
from scripts import tool

SPLITS = ('train', 'validation')
CLASSES_LISTED = 20


def make_parser():
    parser = flag_types.Parser(prog='check_dataset.py', description=__doc__.split('\n\n')[0])
    parser.add_argument('dataset_dir', help='the folder of the data set')
    parser.add_argument(
        '--dataset_name',
        default='imagenet',
        choices=('imagenet', 'digits', 'folder'),
        help="default imagenet: TFRecords in TF-slim's layout; folder: a folder of class folders",
    )
    parser.add_argument('--split', choices=SPLITS, help='default: those that are there')
    parser.add_argument(
        '--allow_duplicates',
        action='store_true',
        help='name images that occur twice, but do not count them as findings',
    )
    parser.add_argument(
        '--counts_csv', metavar='FILE', help='write the images of each class and split to FILE'
    )
    tool.add_process_flag(parser)
    return parser


def splits_there(args):
    if args.split:
        return [args.split]
    if args.dataset_name == 'digits':
        return list(SPLITS)
    if not os.path.isdir(args.dataset_dir):
        raise UsageError(f'{args.dataset_dir} is no folder')
    if args.dataset_name == 'folder':
        there = folders.list_splits(args.dataset_dir)
        return list(SPLITS) if None in there else list(there)
    return [split for split in SPLITS if convert.shards_in(args.dataset_dir, split)] or ['train']


def check(args, datasets):
    """Checks the splits and prints their findings. Returns {split: verify.Checked}."""
    total = sum(dataset.num_examples for dataset in datasets.values())
    with Progress(total, 'check', 'record') as progress:
        checked = verify.check_splits(
            args.dataset_name, args.dataset_dir, datasets, args.num_processes, progress
        )
    for result in checked.values():
        for finding in result.findings:
            print('{}: {}'.format(*finding))
    return checked


def print_duplicates(datasets, checked):
    """Names the images that occur more than once, within and across splits. Returns their number."""
    groups = verify.duplicates({split: result.hashes for split, result in checked.items()})
    for group in groups:
        first, labels = group[0], {checked[split].labels[record] for split, record in group}
        notes = (
            [', in {}'.format(' and '.join(sorted({split for split, _ in group})))]
            if len({split for split, _ in group}) > 1
            else []
        )
        if len(labels) > 1:
            notes.append(
                ', with the labels {}'.format(' and '.join(str(label) for label in sorted(labels)))
            )
        for split, record in group[1:]:
            print(
                '{}: the same image as {}{}'.format(
                    datasets[split].describe(record),
                    datasets[first[0]].describe(first[1]),
                    ''.join(notes),
                )
            )
    return sum(len(group) - 1 for group in groups)


def class_name(dataset, label):
    return '%d %s' % (label, dataset.class_names[label]) if dataset.class_names else str(label)


def class_counts(dataset, checked):
    return np.bincount(checked.labels[checked.labels >= 0], minlength=dataset.num_classes)


def print_summary(split, dataset, checked):
    good = checked.labels >= 0
    counts = class_counts(dataset, checked)
    print(
        '%s: %d records, %d good, %.1f MB of images'
        % (split, len(good), good.sum(), checked.sizes.sum() / 1e6)
    )
    if not good.any():
        return
    heights, widths = checked.heights[good], checked.widths[good]
    print(
        '  sizes: %d to %d wide (median %d), %d to %d high (median %d), %d to %d bytes (median %d)'
        % (
            widths.min(),
            widths.max(),
            np.median(widths),
            heights.min(),
            heights.max(),
            np.median(heights),
            checked.sizes[good].min(),
            checked.sizes[good].max(),
            np.median(checked.sizes[good]),
        )
    )
    present = np.flatnonzero(counts)
    print(
        '  labels: %d to %d, %d of %d classes; images a class: %d to %d (median %d)'
        % (
            present[0],
            present[-1],
            len(present),
            dataset.num_classes,
            counts[present].min(),
            counts[present].max(),
            np.median(counts[present]),
        )
    )
    if dataset.num_classes <= CLASSES_LISTED:
        for label, count in enumerate(counts):
            print('  %7d  %s' % (count, class_name(dataset, label)))
        return
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        print(
            '  no images: {}{}'.format(
                ', '.join(class_name(dataset, label) for label in empty[:5]),
                ' and %d more' % (len(empty) - 5) if len(empty) > 5 else '',
            )
        )


def write_counts(path, datasets, checked):
    counts = {split: class_counts(datasets[split], checked[split]) for split in checked}
    dataset = next(iter(datasets.values()))
    try:
        with open(path, 'w', encoding='utf-8') as file:
            file.write('label,class,{}\n'.format(','.join(counts)))
            for label in range(max(map(len, counts.values()))):
                name = dataset.class_names[label] if dataset.class_names else ''
                numbers = ','.join(str(column[label]) for column in counts.values())
                file.write('%d,"%s",%s\n' % (label, name.replace('"', '""'), numbers))
    except OSError as error:
        raise UsageError(f'cannot write {path}: {error.strerror} (--counts_csv)')


def main():
    args = make_parser().parse_args()
    datasets = {
        split: data.open_dataset(args.dataset_name, args.dataset_dir, split, 'skip')
        for split in splits_there(args)
    }
    checked = check(args, datasets)
    num_duplicates = print_duplicates(datasets, checked)
    for split, dataset in datasets.items():
        print_summary(split, dataset, checked[split])
    if args.counts_csv:
        write_counts(args.counts_csv, datasets, checked)
    findings = sum(len(result.findings) for result in checked.values())
    total = sum(dataset.num_examples for dataset in datasets.values())
    verdict = '%d finding%s' % (findings, 's' * (findings != 1)) if findings else 'all good'
    print(
        '%s: %d records, %s, %d duplicate%s'
        % (args.dataset_dir, total, verdict, num_duplicates, 's' * (num_duplicates != 1))
    )
    return 1 if findings or (num_duplicates and not args.allow_duplicates) else 0


if __name__ == '__main__':
    tool.run(main)
