"""How fast the input pipeline is, against the reference implementation's and against bare decoding.

    python scripts/bench/bench_input.py            the last lines read `ratio NAME VALUE` python
    scripts/bench/bench_input.py --memory   peak memory at batch 256, and whether it stays flat

The images are 500x375 JPEGs of 72 to 110 kB, cut from scikit-learn's two photographs and written to
a temporary TFRecord. All pipelines take turns in one process, several rounds; what counts is the
median of the rounds.
"""

import os
import resource
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import numpy as np
import photographs

import data
from data import examples, tfrecord
from mobilenet import cores, devices, flag_types
from scripts import tool

REFERENCE_CALLS = 24  # the reference's num_parallel_calls


def write_images(folder, count, num_records):
    """`count` images, each at the first quality that makes it 72 kB, as records of both splits."""
    images = photographs.encoded(count)
    sizes = [len(image) for image in images]
    height, width = photographs.HEIGHT, photographs.WIDTH
    records = [
        examples.image_example(image, 'JPEG', height, width, 3, 1 + i % 1000)
        for i, image in enumerate(images)
    ]
    for split in examples.SPLITS:
        path = os.path.join(folder, examples.shard_name(split, 0, 1))
        with tfrecord.TFRecordWriter(path) as writer:
            for i in range(num_records):
                writer.write(records[i % count])
    print(
        f'{count} images, {min(sizes) / 1e3:.0f} to {max(sizes) / 1e3:.0f} kB, '
        f'mean {np.mean(sizes) / 1e3:.0f} kB'
    )


def parsed(tf, folder, split):
    """The records as the reference reads them: (encoded, boxes [1, m, 4])."""

    def parse(record):
        box = tf.VarLenFeature(tf.float32)
        features = tf.parse_single_example(
            record,
            dict(
                {
                    'image/encoded': tf.FixedLenFeature([], tf.string),
                    'image/class/label': tf.FixedLenFeature([], tf.int64),
                },
                **{'image/object/bbox/' + side: box for side in ('ymin', 'xmin', 'ymax', 'xmax')},
            ),
        )
        sides = [
            tf.expand_dims(features['image/object/bbox/' + side].values, 0)
            for side in ('ymin', 'xmin', 'ymax', 'xmax')
        ]
        boxes = tf.transpose(tf.expand_dims(tf.concat(sides, 0), 0), [0, 2, 1])
        return features['image/encoded'], boxes, features['image/class/label']

    path = os.path.join(folder, examples.shard_name(split, 0, 1))
    return tf.data.TFRecordDataset(path), parse


def reference_training(tf, folder, size, batch_size):
    """Whole decode, float, random crop, resize, flip, brightness and saturation in random order."""
    records, parse = parsed(tf, folder, 'train')

    def preprocess(record):
        encoded, boxes, label = parse(record)
        image = tf.image.convert_image_dtype(tf.image.decode_jpeg(encoded, channels=3), tf.float32)
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            boxes,
            min_object_covered=0.1,
            aspect_ratio_range=(0.75, 1.33),
            area_range=(0.05, 1.0),
            max_attempts=100,
            use_image_if_no_bounding_boxes=True,
        )
        image = tf.slice(image, begin, extent)
        image = tf.image.resize_bilinear(tf.expand_dims(image, 0), [size, size])[0]
        image = tf.image.random_flip_left_right(image)

        def brightness(image):
            return tf.image.random_brightness(image, max_delta=32.0 / 255.0)

        def saturation(image):
            return tf.image.random_saturation(image, lower=0.5, upper=1.5)

        image = tf.cond(
            tf.random_uniform([]) < 0.5,
            lambda: saturation(brightness(image)),
            lambda: brightness(saturation(image)),
        )
        image = tf.clip_by_value(image, 0.0, 1.0)
        return (image - 0.5) * 2.0, label

    return (
        records.map(preprocess, num_parallel_calls=REFERENCE_CALLS)
        .batch(batch_size, drop_remainder=True)
        .prefetch(2)
    )


def plain_evaluation(tf, folder, size, batch_size):
    """Whole decode, central crop, resize."""
    records, parse = parsed(tf, folder, 'validation')

    def preprocess(record):
        encoded, _, label = parse(record)
        image = tf.image.convert_image_dtype(tf.image.decode_jpeg(encoded, channels=3), tf.float32)
        image = tf.image.central_crop(image, 0.875)
        image = tf.image.resize_bilinear(tf.expand_dims(image, 0), [size, size])[0]
        return (image - 0.5) * 2.0, label

    return (
        records.map(preprocess, num_parallel_calls=REFERENCE_CALLS)
        .batch(batch_size, drop_remainder=True)
        .prefetch(2)
    )


def crop_decoding(tf, pipeline, count, batch_size, threads):
    """Only decodes the windows that training decodes, from memory; the pixels are dropped."""
    shown = [pipeline.reader.read(position) for position in range(count)]
    encoded = np.array([example.encoded for example in shown], object)
    windows = np.array([example.window for example in shown])

    def decode(encoded, window):
        return tf.shape(
            tf.image.decode_and_crop_jpeg(encoded, window, channels=3, fancy_upscaling=True)
        )

    return (
        tf.data.Dataset.from_tensor_slices((encoded, windows))
        .map(decode, num_parallel_calls=threads)
        .batch(batch_size)
        .prefetch(2)
    )


def measure(tf, datasets, batches, batch_size, rounds):
    """({name: images/s by round}, {name: CPU ms an image}); pipelines take turns, start to end."""
    iterators = {
        name: tf.data.make_initializable_iterator(dataset) for name, dataset in datasets.items()
    }
    following = {name: tf.group(iterator.get_next()) for name, iterator in iterators.items()}
    rates, cpu = {name: [] for name in datasets}, {name: [] for name in datasets}
    with tf.Session() as session:
        for number in range(rounds + 1):
            for name in datasets:
                start, cpu_start = time.time(), time.process_time()
                session.run(iterators[name].initializer)
                for _ in range(batches):
                    session.run(following[name])
                if number:  # the first round warms up
                    rates[name].append(batches * batch_size / (time.time() - start))
                    cpu[name].append((time.process_time() - cpu_start) / batches / batch_size * 1e3)
    return rates, cpu


def bench(tf, folder, args):
    train = data.open_dataset('imagenet', folder, 'train')
    validation = data.open_dataset('imagenet', folder, 'validation')

    def training(normalize_on, on_bad_record='stop'):
        return data.TrainPipeline(
            train,
            args.batch_size,
            args.image_size,
            'inception_v2',
            num_threads=args.threads,
            normalize_on=normalize_on,
            on_bad_record=on_bad_record,
        )

    def evaluation(normalize_on):
        return data.EvalPipeline(
            validation,
            args.batch_size,
            args.image_size,
            'inception_v2',
            num_threads=args.threads,
            normalize_on=normalize_on,
        )

    datasets = {
        'reference': reference_training(tf, folder, args.image_size, args.batch_size),
        'crop_decode': crop_decoding(
            tf, training('device'), args.batches * args.batch_size, args.batch_size, args.threads
        ),
        'train': training('device').dataset(0, args.batches),
        'train_float': training('host').dataset(0, args.batches),
        'train_skip': training('device', 'skip').dataset(0, args.batches),
        'plain': plain_evaluation(tf, folder, args.image_size, args.batch_size),
        'eval': evaluation('device').dataset(),
        'eval_float': evaluation('host').dataset(),
    }
    rates, cpu = measure(tf, datasets, args.batches, args.batch_size, args.rounds)
    for name, values in rates.items():
        print(
            f'{name:<12} {np.median(values):6.0f} images/s (median; {min(values):.0f} to '
            f'{max(values):.0f})  {np.median(cpu[name]):.2f} ms of CPU an image'
        )
    for name, numerator, denominator in (
        ('train_over_reference', 'train', 'reference'),
        ('train_over_crop_decode', 'train', 'crop_decode'),
        ('eval_over_plain', 'eval', 'plain'),
    ):
        # Round by round: what else the machine does in a round then meets both.
        print(f'ratio {name} {np.median(np.array(rates[numerator]) / rates[denominator]):.3f}')


def resident_megabytes():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def memory(tf, folder, args):
    """Peak and growth of resident memory over many batches."""
    pipeline = data.TrainPipeline(
        data.open_dataset('imagenet', folder, 'train'),
        args.batch_size,
        args.image_size,
        'inception_v2',
        num_threads=args.threads,
        normalize_on=args.normalize_on,
    )
    following = tf.data.make_initializable_iterator(pipeline.dataset())
    step, seen = tf.group(*following.get_next()), []
    with tf.Session() as session:
        session.run(following.initializer)
        for batch in range(args.batches):
            session.run(step)
            seen.append(resident_megabytes())
            if (batch + 1) % max(1, args.batches // 10) == 0:
                print(f'batch {batch + 1}: {seen[-1]:.0f} MB', flush=True)
    tenth = max(1, len(seen) // 10)
    print('peak_rss_mb %.0f' % (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6))
    print('growth_mb %.0f' % (max(seen[-tenth:]) - max(seen[tenth : 2 * tenth])))


def main():
    parser = flag_types.Parser(description=__doc__.split('\n')[0])
    parser.add_argument('--memory', action='store_true', help='measure memory instead of speed')
    parser.add_argument(
        '--batch_size', type=flag_types.count(), help='default 64; with --memory 256'
    )
    parser.add_argument(
        '--batches',
        type=flag_types.count(),
        help='a round, default 24; with --memory in all, default 5000',
    )
    parser.add_argument('--rounds', type=flag_types.count(), default=9)
    parser.add_argument(
        '--images', type=flag_types.count(), default=256, help='different images, default 256'
    )
    parser.add_argument('--image_size', type=flag_types.count(), default=224)
    parser.add_argument('--threads', type=flag_types.count(), default=cores.count())
    parser.add_argument(
        '--normalize_on',
        default='host',
        choices=('host', 'device'),
        help='of --memory; speed is shown for both',
    )
    args = parser.parse_args()
    args.batch_size = args.batch_size or (256 if args.memory else 64)
    args.batches = args.batches or (5000 if args.memory else 24)
    tf = devices.import_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        os.environ['XDG_CACHE_HOME'] = folder  # no index of these files is worth keeping
        write_images(
            folder, args.images, args.images if args.memory else args.batches * args.batch_size
        )
        (memory if args.memory else bench)(tf, folder, args)


if __name__ == '__main__':
    tool.run(main)
