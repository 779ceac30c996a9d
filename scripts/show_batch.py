"""Draws what the network sees: one batch of a data set after preprocessing, as a PNG with labels.

    python scripts/show_batch.py --dataset_name digits --image_size 32 --output batch.png
    python scripts/show_batch.py --dataset_dir imagenet --split validation --start_batch 3

The split train goes through the training pipeline (shuffled by --seed, cropped, flipped, coloured:
--start_batch is the step of a run on one device with that seed), validation through the evaluation
pipeline.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import data
from data import contact_sheet, quiet
from mobilenet import cores, flag_types
from mobilenet.errors import UsageError
from scripts import tool


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
    parser.add_argument('--output', default='batch.png', help='default batch.png')
    return parser


def read_batch(args, dataset):
    """(images, labels, record numbers) of the batch as numpy arrays, without the filling of a last
    batch.
    """
    tf = quiet.import_tensorflow()
    common = {
        'batch_size': args.batch_size,
        'image_size': args.image_size,
        'preprocessing_name': args.preprocessing_name,
        'num_threads': cores.count(),
        'on_bad_record': args.on_bad_record,
    }
    if args.split == 'train':
        pipeline = data.TrainPipeline(dataset, seed=args.seed, **common)
        batches = pipeline.dataset(args.start_batch)
    else:
        pipeline = data.EvalPipeline(dataset, **common)
        if args.start_batch >= pipeline.num_batches:
            raise UsageError(
                '--start_batch %d: the split has %d batches of %d, the first is 0'
                % (args.start_batch, pipeline.num_batches, args.batch_size)
            )
        batches = pipeline.dataset().skip(args.start_batch)
    batch = tf.data.make_initializable_iterator(batches)
    following = batch.get_next()
    with tf.Session() as session:
        session.run(batch.initializer)
        try:
            images, labels, *weights = session.run(following)
        except tf.errors.OpError:
            first = 0 if args.split == 'validation' else args.start_batch
            bad = pipeline.find_bad_record(first, args.start_batch + 1 - first)
            if bad is None:
                raise
            raise UsageError('{}: {}; mend it, or use --on_bad_record=skip'.format(*bad))
    for place, reason in pipeline.bad_records.items():
        print(f'skipped {place}: {reason}', file=sys.stderr)
    kept = weights[0] > 0 if weights else slice(None)
    return images[kept], labels[kept], pipeline.records(args.start_batch)[kept]


def main():
    args = make_parser().parse_args()
    folder = os.path.dirname(os.path.abspath(args.output))
    if not os.path.isdir(folder):
        raise UsageError(f'no such folder: {folder} (--output)')
    dataset = data.open_dataset(args.dataset_name, args.dataset_dir, args.split, args.on_bad_record)
    images, labels, records = read_batch(args, dataset)
    title = '%s %s, batch %d, %s, %dx%d%s' % (
        os.path.basename(os.path.abspath(args.dataset_dir))
        if args.dataset_dir
        else args.dataset_name,
        args.split,
        args.start_batch,
        args.preprocessing_name,
        args.image_size,
        args.image_size,
        ', seed %d' % args.seed if args.split == 'train' else '',
    )
    contact_sheet.write(
        args.output, images, [contact_sheet.caption(dataset, label) for label in labels], title
    )
    print(
        '%s: %d images, labels %d to %d, pixels %.3f to %.3f, mean %.3f; first record: %s'
        % (
            args.output,
            len(images),
            labels.min(),
            labels.max(),
            images.min(),
            images.max(),
            images.mean(),
            dataset.describe(records[0]),
        )
    )


if __name__ == '__main__':
    tool.run(main)
