"""Draws what the network sees: one batch of a data set after preprocessing, as a PNG with labels.

    python scripts/show_batch.py --dataset_name digits --image_size 32 --output results/batch.png
    python scripts/show_batch.py --dataset_dir imagenet --split validation --start_batch 3

The split train goes through the training pipeline (shuffled by --seed, cropped, flipped, coloured:
--start_batch is the step of a run on one device with that seed), validation through the evaluation
pipeline.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import data
from data import contact_sheet
from data.progress import Progress
from data.tfrecord import BadRecord
from mobilenet import command, devices, flag_types
from mobilenet.errors import UsageError, bad_record
from scripts import tool

OUTPUT = 'results/batch.png'


def make_parser():
    parser = flag_types.Parser(prog='show_batch.py', description=__doc__.split('\n\n')[0])
    parser.add_argument(
        '--dataset_name',
        default='imagenet',
        choices=data.DATASET_NAMES,
        help="default imagenet: TFRecords in TF-slim's layout",
    )
    parser.add_argument(
        '--dataset_dir', help='folder of the data set; digits and synthetic need none'
    )
    parser.add_argument(
        '--split', default='train', choices=('train', 'validation'), help='default train'
    )
    parser.add_argument('--batch_size', type=flag_types.count(), default=32, help='default 32')
    parser.add_argument(
        '--image_size', type=flag_types.count(8), default=224, help='pixels a side, default 224'
    )
    parser.add_argument(
        '--preprocessing_name', default='inception_v2', choices=data.PREPROCESSING_NAMES
    )
    parser.add_argument(
        '--seed', type=flag_types.number(0, kind=int), default=0, help='as train_loop.py --seed'
    )
    parser.add_argument(
        '--start_batch',
        type=flag_types.number(0, kind=int),
        default=0,
        help='which batch, default 0',
    )
    parser.add_argument('--on_bad_record', default='stop', choices=('stop', 'skip'))
    parser.add_argument(
        '--apply_exif',
        action='store_true',
        help='with --dataset_name=folder: turn and mirror images as their EXIF data says',
    )
    parser.add_argument('--output', help=f'default {OUTPUT}')
    return parser


def read_batch(args, dataset):
    """(images, labels, record numbers) of the batch as numpy arrays, without the filling of a last
    batch.
    """
    devices.import_tensorflow()
    common = {
        'batch_size': args.batch_size,
        'image_size': args.image_size,
        'preprocessing_name': args.preprocessing_name,
        'on_bad_record': args.on_bad_record,
    }
    if args.split == 'train':
        pipeline = data.TrainPipeline(dataset, seed=args.seed, **common)
    else:
        pipeline = data.EvalPipeline(dataset, **common)
        if args.start_batch >= pipeline.num_batches:
            raise UsageError(
                f'--start_batch {args.start_batch}: the split has {pipeline.num_batches} batches '
                f'of {args.batch_size}, the first is 0'
            )
    with Progress(args.batch_size, 'read', 'image') as progress:
        try:
            images, labels, weights = pipeline.show(args.start_batch, lambda: progress.update(1))
        except BadRecord as error:
            raise bad_record(error.place, error.reason, args.on_bad_record)
    for place, reason in pipeline.bad_records.items():
        print(f'skipped {place}: {reason}', file=sys.stderr)
    kept = weights > 0
    return images[kept], labels[kept], pipeline.records(args.start_batch)[kept]


def title(args):
    name = args.dataset_name
    if args.dataset_dir:
        name = os.path.basename(os.path.abspath(args.dataset_dir))
    seed = f', seed {args.seed}' if args.split == 'train' else ''
    return (
        f'{name} {args.split}, batch {args.start_batch}, {args.preprocessing_name}, '
        f'{args.image_size}x{args.image_size}{seed}'
    )


def main():
    args = make_parser().parse_args()
    if args.output is None:
        args.output = OUTPUT
        command.make_folder(os.path.dirname(OUTPUT), '--output')
    tool.check_output(args.output, '--output')
    dataset = data.open_split(args, args.split)
    print(dataset.summary, file=sys.stderr)
    tool.print_notes(dataset.notes)
    images, labels, records = read_batch(args, dataset)
    captions = [contact_sheet.caption(dataset, label) for label in labels]
    contact_sheet.write(args.output, images, captions, title(args))
    print(
        f'{args.output}: {len(images)} images, labels {labels.min()} to {labels.max()}, pixels '
        f'{images.min():.3f} to {images.max():.3f}, mean {images.mean():.3f}; first record: '
        f'{dataset.describe(records[0])}'
    )


if __name__ == '__main__':
    tool.run(main)
