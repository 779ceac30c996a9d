"""The input pipeline: positions -> records -> decoded, augmented images -> batches.

    range of batches -> (read, decode the window, resize, mirror, colours: one map, on several
    threads, in order; data/batches.py) -> prefetch

All that is random, and which record comes when, is a deterministic function of positions
(data/order.py, data/augment.py): the same bits for any number of threads, and a resume at any batch
reads nothing of what lies before.
"""

import numpy as np
import tensorflow as tf

from data import augment as augmentations
from data import preprocess
from data.batches import Batches, from_python, plain
from data.datasets import SyntheticDataset
from data.order import Order, batch_positions
from data.reader import Reader
from data.tfrecord import BadRecord

PREFETCHED_BATCHES = 2


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
        self.on_bad_record = on_bad_record
        self.image_type = tf.uint8 if normalize_on == 'device' else tf.float32
        self.order, self.training = order, training
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
        kind = augmentations.resolve(augmentation, preprocessing_name)
        recoloured = augment and kind == 'inception'
        self.batches = Batches(
            self.reader,
            self.positions,
            batch_size,
            image_size,
            self.image_type,
            recoloured,
            num_threads + 1,  # one is as a rule waiting for Python's lock
        )

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
        """Images of this pipeline as float32 in -1..1: on the device where they come as uint8."""
        return preprocess.normalize(images)

    def find_bad_record(self, first_batch, num_batches):
        """Looks for the record that made a session fail, by going through its batches one record at
        a time.

        Returns (place, reason) of the first record of those batches that cannot be read or decoded,
        or None. Where such are skipped: of the last of too many in a row.
        """
        if isinstance(self.source, SyntheticDataset):
            return None
        for batch in range(first_batch, first_batch + num_batches):
            for position in self.positions(batch):
                try:
                    self.batches.show(position)
                except BadRecord as error:
                    return error.place, error.reason
        return None

    def check(self, position):
        """None, or the BadRecord of what is wrong at a position, read and decoded."""
        return self.batches.check(position)

    def show(self, batch, progress=None):
        """(images, labels, weights) of a batch as arrays, read here and now, one by one: the same
        bits as in the stream. progress: called after each image. Raises BadRecord.
        """
        if isinstance(self.source, SyntheticDataset):
            return self._noise(self._pool(), batch)
        rows = []
        for position in self.positions(batch):
            rows.append(self.batches.show(position))
            if progress:
                progress()
        images, labels, weights = zip(*rows)
        return np.array(images), np.array(labels, np.int32), np.array(weights, np.float32)

    def _batches(self, first_batch, last_batch):
        """tf.data.Dataset of (images, labels, weights) of batches [first_batch, last_batch)."""
        if isinstance(self.source, SyntheticDataset):
            batches = tf.data.Dataset.range(first_batch, last_batch).map(plain(self._synthetic))
        else:
            batches = self.batches.dataset(first_batch, last_batch)
        options = tf.data.Options()
        options.experimental_deterministic = True
        # What waits for a batch must not hold one of the session's threads.
        options.experimental_threading.private_threadpool_size = self.batches.at_once
        options.experimental_threading.max_intra_op_parallelism = 1
        return batches.prefetch(PREFETCHED_BATCHES).with_options(options)

    def _pool(self):
        pool = self.source.images(self.image_size)
        if self.image_type == tf.float32:
            pool = pool.astype(np.float32) * np.float32(2 / 255.0) - np.float32(1)
        return pool

    def _noise(self, pool, batch):
        positions, records = self.positions(int(batch)), self.records(int(batch))
        counted = self.training | (positions < self.source.num_examples)
        return pool[records % len(pool)], self.source.label(records), counted.astype(np.float32)

    def _synthetic(self, number):
        """Batch number -> (images, labels, weights) of noise."""
        pool = self._pool()
        shape = [self.batch_size] + list(pool.shape[1:])
        return from_python(lambda number: self._noise(pool, number), number, self.image_type, shape)


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

    @classmethod
    def of(cls, config, dataset, batch_size):
        """By a command's flags."""
        return cls(
            dataset,
            batch_size,
            config.image_size,
            config.preprocessing_name,
            config.data_threads,
            config.normalize_on,
            config.on_bad_record,
        )

    def dataset(self):
        """tf.data.Dataset of (images as in training, labels int32 [B], weights float32 [B])."""
        return self._batches(0, self.num_batches)
