"""The input pipeline: positions -> records -> decoded, augmented images -> batches.

    range of groups of positions -> (read, decode the window, resize, mirror, colours: one map, in
    parallel, in order) -> batch -> prefetch

A call of Python from TensorFlow costs 0.05 to 0.1 ms, so one call reads a small group of images
and one finishes it.

All that is random, and which record comes when, is arithmetic on positions (data/order.py,
data/augment.py): the same bits for any number of threads, and a resume at any batch reads nothing
of what lies before.
"""

import threading

import numpy as np
import tensorflow as tf

from data import augment as augmentations
from data import preprocess
from data.datasets import SyntheticDataset
from data.order import Order, batch_positions
from data.reader import Example, Reader
from data.tfrecord import BadRecord

PREFETCHED_BATCHES = 2
# A group's pixels are all in memory at once, as many groups as there are threads: photographs of 12
# megapixels take 1.2 GB in 2 threads and 2.6 GB in 8. Groups of 4: 0.9 and 1.6 GB, 3 % slower.
LARGEST_GROUP = 8
EXAMPLE_TYPES = Example(
    encoded=tf.string,
    window=tf.int32,
    flip=tf.bool,
    colour=tf.float32,
    label=tf.int32,
    weight=tf.float32,
)
# Autograph would rewrite what it is given down to the Python that runs for each image, at 0.4 ms an
# image.
plain = tf.autograph.experimental.do_not_convert


def stacked(examples):
    """A list of Examples as one Example of arrays, of EXAMPLE_TYPES."""
    return Example(
        *(
            np.array(values, dtype.as_numpy_dtype)
            for values, dtype in zip(zip(*examples), EXAMPLE_TYPES)
        )
    )


class Pipeline:
    """What training and evaluation share. `bad_records`: {place: reason} of what was skipped."""

    def __init__(
        self,
        dataset,
        batch_size,
        image_size,
        preprocessing_name,
        num_threads,
        normalize_on,
        on_bad_record,
        order,
        training,
        augment,
        augmentation='auto',
    ):
        self.source, self.batch_size, self.image_size = dataset, batch_size, image_size
        # A batch is so many whole groups.
        self.group_size = max(n for n in range(1, LARGEST_GROUP + 1) if batch_size % n == 0)
        self.num_threads = num_threads
        self.image_type = tf.uint8 if normalize_on == 'device' else tf.float32
        self.on_bad_record, self.order, self.training = on_bad_record, order, training
        kind = augmentations.resolve(augmentation, preprocessing_name)
        self.recoloured = augment and kind == 'inception'
        self.reader = Reader(
            dataset,
            order,
            preprocessing_name,
            image_size,
            training,
            augment,
            on_bad_record,
            augmentation,
        )
        self._only_decoder, self._lock = None, threading.Lock()

    @property
    def bad_records(self):
        return self.reader.bad_records

    def positions(self, batch):
        """int64 [batch_size] of a batch of this rank."""
        return batch_positions(batch, self.batch_size)

    def records(self, batch):
        """int64 [batch_size]: the records of a batch, to be named by the data set's `describe`."""
        return np.array([self.order(position)[1] for position in self.positions(batch)])

    def describe(self, record):
        return self.source.describe(record)

    def normalize(self, images):
        """Images of this pipeline as float32 in -1..1: on the device that asks, where they travel as uint8."""
        return preprocess.normalize(images)

    def find_bad_record(self, first_batch, num_batches):
        """Looks for the record that made a session fail, by going through its batches one record at
        a time.

        Returns (place, reason) of the first record of those batches that cannot be read or decoded,
        or None.
        """
        if isinstance(self.source, SyntheticDataset):
            return None
        for batch in range(first_batch, first_batch + num_batches):
            for position in self.positions(batch):
                if self.training or position < self.source.num_examples:
                    error = self.check(position)
                    if error:
                        return error.place, error.reason
        return None

    def check(self, position):
        """None, or the BadRecord of what is wrong at a position, read and decoded."""
        try:
            self._decoder()(self.reader.read(position))
        except BadRecord as error:
            return error
        except tf.errors.OpError as error:
            return self.reader.undecodable(position, error)
        return None

    def _decoder(self):
        with self._lock:
            if self._only_decoder is None:
                self._only_decoder = Decoder()
            return self._only_decoder

    def _batches(self, first_batch, last_batch):
        """tf.data.Dataset of (images, labels, weights) of batches [first_batch, last_batch)."""
        threads = self.num_threads + 1  # one is as a rule waiting for Python's lock
        if isinstance(self.source, SyntheticDataset):
            batches = tf.data.Dataset.range(first_batch, last_batch).map(plain(self._synthetic))
        else:
            groups = self.batch_size // self.group_size
            numbers = tf.data.Dataset.range(first_batch * groups, last_batch * groups)
            group = self._group_or_stand_ins if self.on_bad_record == 'skip' else self._group
            batches = (
                numbers.map(plain(group), num_parallel_calls=threads)
                .batch(groups, drop_remainder=True)
                .map(plain(self._joined))
            )
        options = tf.data.Options()
        options.experimental_deterministic = True
        # Decoding has threads of its own: in the session's pool it would hold up the step.
        options.experimental_threading.private_threadpool_size = threads
        options.experimental_threading.max_intra_op_parallelism = 1
        return batches.prefetch(PREFETCHED_BATCHES).with_options(options)

    def _positions_of_group(self, number):
        """The positions, in the stream of all ranks, of the n-th group of this rank."""
        batch, start = divmod(int(number) * self.group_size, self.batch_size)
        return self.positions(batch)[start : start + self.group_size].tolist()

    def _group(self, number):
        """(images, labels, weights) of a group. A bad record ends the session's run."""

        def read(number):
            return stacked([self.reader(p) for p in self._positions_of_group(number)])

        def finish(windows, flips, colours, *pixels):
            return self._finish(pixels, windows, flips, colours)

        examples = Example(*tf.numpy_function(read, [number], list(EXAMPLE_TYPES)))
        pixels = [
            preprocess.decode(encoded, window)
            for encoded, window in zip(
                tf.unstack(examples.encoded, self.group_size),
                tf.unstack(examples.window, self.group_size),
            )
        ]
        images = tf.numpy_function(
            finish, [examples.window, examples.flip, examples.colour] + pixels, self.image_type
        )
        return images, examples.label, examples.weight

    def _group_or_stand_ins(self, number):
        """(images, labels, weights) of a group, something standing in for a bad record.

        Decoding is called from Python here, where its failure can be caught, at 0.25 ms an image.
        (A dataset of one image with ignore_errors() in a parallel interleave would do too, but
        crashes the process when its session is closed.)
        """

        def decoded(position):
            example = self.reader(position)
            try:
                return example, self._decoder()(example)
            except tf.errors.OpError as error:
                self.reader.note(self.reader.undecodable(position, error))
                example = self.reader.stand_in(position, self.check)
                return example, self._decoder()(example)

        def run(number):
            examples, pixels = zip(*map(decoded, self._positions_of_group(number)))
            examples = stacked(examples)
            images = self._finish(pixels, examples.window, examples.flip, examples.colour)
            return images, examples.label, examples.weight

        return tf.numpy_function(run, [number], [self.image_type, tf.int32, tf.float32])

    def _finish(self, pixels, windows, flips, colours):
        return preprocess.finish(
            pixels,
            windows,
            flips,
            colours if self.recoloured else None,
            self.image_size,
            self.image_type.as_numpy_dtype,
        )

    def _joined(self, images, labels, weights):
        """[groups, group size, ...] -> [batch size, ...]: the same memory, with static shapes."""
        return (
            tf.reshape(images, [self.batch_size, self.image_size, self.image_size, 3]),
            tf.reshape(labels, [self.batch_size]),
            tf.reshape(weights, [self.batch_size]),
        )

    def _synthetic(self, number):
        """Batch number -> (images, labels, weights) of noise."""
        pool = self.source.images(self.image_size)
        if self.image_type == tf.float32:
            pool = pool.astype(np.float32) * np.float32(2 / 255.0) - np.float32(1)

        def batch(number):
            positions, records = self.positions(int(number)), self.records(int(number))
            counted = self.training | (positions < self.source.num_examples)
            return pool[records % len(pool)], self.source.label(records), counted.astype(np.float32)

        images, labels, weights = tf.numpy_function(
            batch, [number], [tf.as_dtype(pool.dtype), tf.int32, tf.float32]
        )
        images.set_shape([self.batch_size] + list(pool.shape[1:]))
        labels.set_shape([self.batch_size])
        weights.set_shape([self.batch_size])
        return images, labels, weights


class TrainPipeline(Pipeline):
    """Endless shuffled, augmented batches of one rank (see data/order.py).

    augment=False keeps the order of the files and takes evaluation's window, without flip and
    colours. augmentation: one of data.AUGMENTATIONS.
    """

    def __init__(
        self,
        dataset,
        batch_size,
        image_size,
        preprocessing_name,
        seed=0,
        rank=0,
        world_size=1,
        num_threads=2,
        normalize_on='host',
        on_bad_record='stop',
        augment=True,
        augmentation='auto',
    ):
        self.rank, self.world_size = rank, world_size
        self.shift = 0  # records that positions are ahead of batches: ranks were others before
        super().__init__(
            dataset,
            batch_size,
            image_size,
            preprocessing_name,
            num_threads,
            normalize_on,
            on_bad_record,
            Order(dataset.num_examples, seed, shuffle=augment),
            True,
            augment,
            augmentation,
        )

    def positions(self, batch):
        return self.shift + batch_positions(batch, self.batch_size, self.rank, self.world_size)

    def dataset(self, start_batch=0, num_batches=None):
        """tf.data.Dataset of (images [B, S, S, 3] float32 in -1..1, or uint8; labels int32 [B])
        from a batch on.

        Endless without num_batches.
        """
        last = (
            np.iinfo(np.int64).max // self.batch_size
            if num_batches is None
            else start_batch + num_batches
        )
        return self._batches(start_batch, last).map(
            plain(lambda images, labels, weights: (images, labels))
        )


class EvalPipeline(Pipeline):
    """Every record once, in the order of the files; the last batch is filled up with weight 0."""

    def __init__(
        self,
        dataset,
        batch_size,
        image_size,
        preprocessing_name,
        num_threads=2,
        normalize_on='host',
        on_bad_record='stop',
    ):
        super().__init__(
            dataset,
            batch_size,
            image_size,
            preprocessing_name,
            num_threads,
            normalize_on,
            on_bad_record,
            Order(dataset.num_examples, 0, shuffle=False),
            False,
            False,
        )
        self.num_batches = -(-dataset.num_examples // batch_size)

    def dataset(self):
        """tf.data.Dataset of (images as in training, labels int32 [B], weights float32 [B])."""
        return self._batches(0, self.num_batches)


class Decoder:
    """Callable from Python, from any thread: Example -> its pixels, by the pipeline's own op.

    Made at the first use: the first session of a process sets the threads of all, and has to be the
    run's own.
    """

    def __init__(self):
        with tf.Graph().as_default() as graph, tf.device('/cpu:0'):
            self.encoded, self.window = tf.placeholder(tf.string, []), tf.placeholder(tf.int32, [4])
            self.pixels = preprocess.decode(self.encoded, self.window)
        self.session = tf.Session(graph=graph)
        # Runs on the thread that calls: those of the run's own session may be busy with a step.
        self.options = tf.RunOptions(inter_op_thread_pool=-1)

    def __call__(self, example):
        return self.session.run(
            self.pixels,
            {self.encoded: example.encoded, self.window: example.window},
            options=self.options,
        )
