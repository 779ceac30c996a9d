"""Turns a folder of class folders of images into TFRecords that train_loop.py reads.

    python scripts/convert_folder.py SRC OUT

SRC holds a folder of images for each class, or train/ and validation/ (or val/) with such folders.
Labels count from 0 in sorted order of the class names. JPEG and PNG files go in as they are; every
other kind that Pillow reads becomes a PNG, without loss. Writes OUT/train-00000-of-000NN,
OUT/validation-00000-of-000NN and OUT/labels.txt.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from data import convert, folders, layout
from mobilenet import flag_types
from mobilenet.errors import UsageError
from scripts import tool


def make_parser():
    parser = flag_types.Parser(prog='convert_folder.py', description=__doc__.split('\n\n')[0])
    parser.add_argument('src', help='the folder of class folders')
    parser.add_argument('out', help='where the TFRecords go')
    held_out = parser.add_mutually_exclusive_group()
    held_out.add_argument(
        '--validation_share',
        type=flag_types.number(0, 0.9),
        metavar='SHARE',
        help='part of each class that is held out, drawn by --seed; default 0.1; 0 for none',
    )
    held_out.add_argument(
        '--validation_every',
        type=flag_types.count(2),
        metavar='K',
        help='hold out every K-th image instead, in order of name',
    )
    parser.add_argument(
        '--train_shards', type=flag_types.count(), help='default: files of about 128 MB'
    )
    parser.add_argument(
        '--validation_shards', type=flag_types.count(), help='default: files of about 128 MB'
    )
    tool.add_convert_flags(parser)
    return parser


def split_classes(args):
    """{split: {class: [path]}} without splits that have no image."""
    listing = folders.list_splits(args.src)
    tool.print_notes(listing.notes)
    splits = listing.splits
    if None in splits:
        share = 0.1 if args.validation_share is None else args.validation_share
        train, validation = folders.hold_out(splits[None], share, args.validation_every, args.seed)
        splits = {'train': train, 'validation': validation}
    elif args.validation_share is not None or args.validation_every is not None:
        raise UsageError(
            f'{args.src} has a folder {os.path.basename(listing.places["train"])}, so it is split '
            'already: leave --validation_share and --validation_every away'
        )
    if not any(splits['train'].values()):
        raise UsageError(f'{args.src} has class folders, but no image to train on in any of them')
    return {split: classes for split, classes in splits.items() if any(classes.values())}


def main():
    args = make_parser().parse_args()
    if layout.is_within(args.out, args.src):
        raise UsageError(
            f'{args.out} lies in {args.src}, whose folders are the classes: choose another'
        )
    splits = split_classes(args)
    for name, paths in splits['train'].items():
        if not paths:
            print(f'class {name} has no image to train on; it keeps its label', file=sys.stderr)
    listed = {split: folders.sources(classes) for split, classes in splits.items()}
    num_shards = {
        split: getattr(args, split + '_shards') or convert.default_num_shards(sources)
        for split, sources in listed.items()
    }
    convert.prepare_output(args.out, ('train', 'validation'), args.overwrite)
    tool.write_data_set(args, listed, num_shards, list(splits['train']))
    if 'validation' not in listed:
        convert.remove_split(args.out, 'validation')  # of an earlier conversion, with other labels


if __name__ == '__main__':
    tool.run(main, stopped=tool.CONVERSION_STOPPED)
