"""Turns ImageNet (ILSVRC 2012), as its official archives unpack, into TFRecords in TF-slim's
layout.

    python scripts/convert_imagenet.py OUT --train_dir train --validation_dir val \\
        --validation_labels imagenet_2012_validation_synset_labels.txt

train/ holds a folder for each synset, val/ the flat validation images, whose labels are given one a
line in order of their names: as synsets (slim's list), or as numbers (the development kit's
ILSVRC2012_validation_ground_truth.txt) with --synset_order. Labels run from 1 in sorted order of
the synsets; 0 is the background. Either split may be left out.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from data import convert, imagenet_archives
from mobilenet import flag_types
from mobilenet.errors import UsageError
from scripts import tool

NUM_CLASSES = 1000


def make_parser():
    parser = flag_types.Parser(prog='convert_imagenet.py', description=__doc__.split('\n\n')[0])
    parser.add_argument('out', help='where the TFRecords go')
    parser.add_argument('--train_dir', help='training images, a folder for each synset')
    parser.add_argument(
        '--validation_dir', help='validation images, flat or a folder for each synset'
    )
    parser.add_argument(
        '--validation_labels',
        metavar='FILE',
        help="a synset (or, with --synset_order, a number) a line, in order of the images' names; "
        "or Kaggle's LOC_val_solution.csv",
    )
    parser.add_argument(
        '--synset_order',
        metavar='FILE',
        help='synsets in the order of the numbers of --validation_labels, one a line '
        "(ILSVRC2012_ID of the development kit's meta.mat)",
    )
    parser.add_argument(
        '--synsets',
        metavar='FILE',
        help='the classes, one synset a line; default: the folders of --train_dir. Needed for the '
        'validation split alone',
    )
    parser.add_argument(
        '--names', metavar='FILE', help='names of the classes: a synset and its text a line'
    )
    parser.add_argument(
        '--bounding_boxes', metavar='CSV', help='FILE,xmin,ymin,xmax,ymax a line, in fractions'
    )
    parser.add_argument(
        '--train_shards', type=flag_types.count(), default=1024, help='default 1024'
    )
    parser.add_argument(
        '--validation_shards', type=flag_types.count(), default=128, help='default 128'
    )
    tool.add_convert_flags(parser)
    return parser


def check_flags(args):
    if args.train_dir is None and args.validation_dir is None:
        raise UsageError('nothing to convert: give --train_dir, --validation_dir, or both')
    if args.validation_dir is None and (args.validation_labels or args.synset_order):
        raise UsageError('--validation_labels and --synset_order need --validation_dir')
    if args.synset_order and not args.validation_labels:
        raise UsageError(
            '--synset_order is the order of the numbers in --validation_labels: give that file, too'
        )
    if args.apply_exif and args.bounding_boxes:
        raise UsageError('--apply_exif does not turn --bounding_boxes: leave one of them away')
    if args.train_dir is None and args.synsets is None:
        raise UsageError(
            'the validation split alone needs --synsets: the labels are places in the '
            'sorted classes'
        )


def list_sources(args, synsets, names):
    """{split: [Source]}"""
    boxes, left_out = {}, 0
    if args.bounding_boxes:
        boxes, left_out = imagenet_archives.read_boxes(args.bounding_boxes)
    notes = []
    if left_out:
        notes.append(f'{args.bounding_boxes}: {left_out} boxes without an area left out')
    listed = {}
    if args.validation_dir is not None:
        listed['validation'] = imagenet_archives.validation_sources(
            args.validation_dir,
            args.validation_labels,
            args.synset_order,
            synsets,
            names,
            boxes,
            notes,
        )
    if args.train_dir is not None:
        listed['train'] = imagenet_archives.train_sources(
            args.train_dir, synsets, names, boxes, notes
        )
    tool.print_notes(notes)
    return listed


def main():
    args = make_parser().parse_args()
    check_flags(args)
    synsets = (
        sorted(imagenet_archives.read_synsets(args.synsets))
        if args.synsets
        else imagenet_archives.train_synsets(args.train_dir)
    )
    if len(synsets) != NUM_CLASSES:
        print(
            f'{len(synsets)} classes, where ImageNet has {NUM_CLASSES}: labels run from 1 to '
            f'{len(synsets)}',
            file=sys.stderr,
        )
    names = imagenet_archives.read_names(args.names) if args.names else {}
    listed = list_sources(args, synsets, names)
    convert.prepare_output(args.out, sorted(listed), args.overwrite)
    num_shards = {'train': args.train_shards, 'validation': args.validation_shards}
    tool.write_data_set(
        args, listed, num_shards, ['background'] + [names.get(synset, synset) for synset in synsets]
    )


if __name__ == '__main__':
    tool.run(main, stopped=tool.CONVERSION_STOPPED)
