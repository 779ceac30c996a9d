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

import data
from data import convert, folders, verify
from data.progress import Progress
from mobilenet import flag_types, text
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
    parser.add_argument(
        '--restart',
        action='store_true',
        help='look at every record, also at those that a check which was stopped found good',
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
        there = folders.list_splits(args.dataset_dir).splits
        return list(SPLITS) if None in there else list(there)
    return [split for split in SPLITS if convert.shards_in(args.dataset_dir, split)] or ['train']


def open_splits(args):
    """{split: data set}"""
    try:
        return {
            split: data.open_dataset(args.dataset_name, args.dataset_dir, split, 'skip')
            for split in splits_there(args)
        }
    except UsageError as error:  # here the folder is no flag
        raise UsageError(str(error).replace('--dataset_dir', 'dataset_dir'))


def check(args, datasets):
    """Checks the splits and prints their findings. Returns {split: verify.Checked}."""
    total = sum(dataset.num_examples for dataset in datasets.values())
    with Progress(total, 'check', 'record') as progress:
        checked = verify.check_splits(
            args.dataset_name,
            args.dataset_dir,
            datasets,
            args.num_processes,
            progress,
            args.restart,
        )
    for result in checked.values():
        for finding in result.findings:
            print('{}: {}'.format(*finding))
    return checked


def print_duplicates(datasets, checked):
    """Names the images that occur more than once, within and across splits. Gives their number."""
    groups = verify.duplicates({split: result.hashes for split, result in checked.items()})
    for group in groups:
        (first_split, first_record), note = group[0], ''
        labels = {checked[split].labels[record] for split, record in group}
        splits = {split for split, _ in group}
        if len(splits) > 1:
            note += f', in {" and ".join(sorted(splits))}'
        if len(labels) > 1:
            note += f', with the labels {" and ".join(map(str, sorted(labels)))}'
        first = datasets[first_split].describe(first_record)
        for split, record in group[1:]:
            print(f'{datasets[split].describe(record)}: the same image as {first}{note}')
    return sum(len(group) - 1 for group in groups)


def name_of(dataset, label):
    """'' where classes have none."""
    return text.printable(dataset.class_names[label]) if dataset.class_names else ''


def class_name(dataset, label):
    return f'{label} {name_of(dataset, label)}'.rstrip()


def print_summary(split, dataset, checked):
    good = checked.labels >= 0
    counts = verify.class_counts(checked, dataset.num_classes)
    megabytes = checked.sizes.sum() / 1e6
    print(f'{split}: {len(good)} records, {good.sum()} good, {megabytes:.1f} MB of images')
    if not good.any():
        return
    heights, widths, sizes = checked.heights[good], checked.widths[good], checked.sizes[good]
    print(
        f'  sizes: {verify.spread(widths)} wide, {verify.spread(heights)} high, '
        f'{verify.spread(sizes)} bytes'
    )
    present = counts.nonzero()[0]
    print(
        f'  labels: {present[0]} to {present[-1]}, {len(present)} of {dataset.num_classes} '
        f'classes; images a class: {verify.spread(counts[present])}'
    )
    if dataset.num_classes <= CLASSES_LISTED:
        for label, count in enumerate(counts):
            print(f'  {count:7d}  {class_name(dataset, label)}')
        return
    empty = (counts == 0).nonzero()[0]
    if len(empty):
        more = f' and {len(empty) - 5} more' if len(empty) > 5 else ''
        names = ', '.join(class_name(dataset, label) for label in empty[:5])
        print(f'  no images: {names}{more}')


def counts_lines(datasets, checked):
    counts = {
        split: verify.class_counts(result, datasets[split].num_classes)
        for split, result in checked.items()
    }
    dataset = next(iter(datasets.values()))
    yield 'label,class,{}\n'.format(','.join(counts))
    for label in range(max(map(len, counts.values()))):
        numbers = ','.join(str(column[label]) for column in counts.values())
        name = name_of(dataset, label).replace('"', '""')
        yield f'{label},"{name}",{numbers}\n'


def write_counts(path, lines):
    try:
        with text.open_text(path) as file:
            file.writelines(lines)
    except OSError as error:
        raise UsageError(f'cannot write {path}: {error.strerror} (--counts_csv)')


def advice(args, findings, num_duplicates):
    """Lines that say what to do about what was found."""
    if findings:
        how = 'convert those images again' if args.dataset_name == 'imagenet' else 'replace them'
        yield (
            f'  the records above stop a training: {how}, or train with --on_bad_record=skip, '
            'which puts others in their place'
        )
    if num_duplicates and not args.allow_duplicates:
        yield (
            '  images that occur twice count twice, and within both splits they make an evaluation '
            'look better than it is: remove them, or accept them with --allow_duplicates'
        )


def main():
    args = make_parser().parse_args()
    datasets = open_splits(args)
    if args.counts_csv:
        tool.check_output(args.counts_csv, '--counts_csv')
    lines = [line for d in datasets.values() for line in (d.summary, *d.notes)]
    tool.print_notes(list(dict.fromkeys(lines)))  # both splits of a folder have the same
    checked = check(args, datasets)
    num_duplicates = print_duplicates(datasets, checked)
    for split, dataset in datasets.items():
        print_summary(split, dataset, checked[split])
    if args.counts_csv:
        write_counts(args.counts_csv, counts_lines(datasets, checked))
    findings = sum(len(result.findings) for result in checked.values())
    total = sum(dataset.num_examples for dataset in datasets.values())
    verdict = f'{findings} finding{"s" * (findings != 1)}' if findings else 'all good'
    print(
        f'{args.dataset_dir}: {total} records, {verdict}, {num_duplicates} '
        f'duplicate{"s" * (num_duplicates != 1)}'
    )
    for line in advice(args, findings, num_duplicates):
        print(line)
    return 1 if findings or (num_duplicates and not args.allow_duplicates) else 0


if __name__ == '__main__':
    tool.run(main, stopped='the same command goes on where it was (--restart: from the beginning)')
