"""The input pipeline: positions -> chunks of records -> decoded, augmented images -> batches.

    range of chunk numbers -> read (Python, several chunks at once) -> records -> decode, crop, resize, colour (a map in
    parallel, in order) -> batch -> prefetch

All that is random, and which record comes when, is arithmetic on positions (data/order.py, data/augment.py): the same
bits for any number of threads, and a resume at any batch reads nothing of what lies before.
"""

import numpy as np
import tensorflow as tf

from data import preprocess
from data.order import Order, batch_positions
from data.reader import Chunk, ChunkReader
from data.tfrecord import BadRecord

# Records read by one call into Python. More means more memory, fewer means more time under Python's lock.
CHUNK = 32
CHUNKS_AT_ONCE = 2
PREFETCHED_BATCHES = 2
CHUNK_TYPES = Chunk(encoded=tf.string, is_png=tf.bool, windows=tf.int32, flips=tf.bool,
                    colours=tf.float32, labels=tf.int32, weights=tf.float32, positions=tf.int64)
CHUNK_SHAPES = Chunk(encoded=[], is_png=[], windows=[4], flips=[], colours=[3], labels=[],
                     weights=[], positions=[])


class Pipeline:
    """What training and evaluation share. `bad_records`: {place: reason} of what was skipped."""

    def __init__(self, dataset, batch_size, image_size, preprocessing_name, num_threads,
                 normalize_on, on_bad_record, training, order, augment):
        self.source, self.batch_size, self.image_size = dataset, batch_size, image_size
        self.num_threads, self.normalize_on = num_threads, normalize_on
        self.on_bad_record, self.training = on_bad_record, training
        self.colours = training and augment and preprocessing_name == 'inception_v2'
        self.flips = training and augment and preprocessing_name != 'none'
        self.order = order
        self.reader = ChunkReader(dataset, order, preprocessing_name, image_size, training,
                                  augment, on_bad_record)
        self.chunks_per_batch = -(-batch_size // CHUNK)
        self._checker = None

    @property
    def bad_records(self):
        return self.reader.bad_records

    def positions(self, batch):
        """int64 [batch_size] of a batch of this rank."""
        return batch_positions(batch, self.batch_size)

    def records(self, batch):
        """int64 [batch_size]: the records of a batch, to be named by the data set's `describe`."""
        return self.order(self.positions(batch))[1]

    def find_bad_record(self, first_batch, num_batches):
        """Looks for the record that made a session fail, by going through its batches one record at a time.

        Returns (place, reason) of the first record of those batches that cannot be read or decoded, or None.
        """
        if not hasattr(self.source, 'read'):
            return None
        for batch in range(first_batch, first_batch + num_batches):
            for position in self.positions(batch):
                error = self.check(int(position))
                if error:
                    return error.place, error.reason
        return None

    def check(self, position):
        """None, or the BadRecord of what is wrong with the record at a position. Reads and decodes it."""
        if self._checker is None:
            self._checker = Checker(self)
        return self._checker(position)

    def _batches(self, chunk_numbers):
        """A dataset of chunk numbers -> batches of (image, label, weight)."""
        if not hasattr(self.source, 'read'):
            return self._synthetic_batches(chunk_numbers)
        chunks = chunk_numbers.map(self._read_chunk, num_parallel_calls=CHUNKS_AT_ONCE)
        records = chunks.flat_map(tf.data.Dataset.from_tensor_slices)
        decoded = records.map(self.decode, num_parallel_calls=self.num_threads)
        batches = decoded.batch(self.batch_size, drop_remainder=True)
        return self._with_options(batches.prefetch(PREFETCHED_BATCHES))

    def _read_chunk(self, number):
        fields = tf.numpy_function(self.read_chunk, [number], list(CHUNK_TYPES))
        for field, shape in zip(fields, CHUNK_SHAPES):
            field.set_shape([None] + shape)
        return Chunk(*fields)

    def read_chunk(self, number):
        """Chunk number of the whole stream -> Chunk. A batch is chunks_per_batch of them."""
        batch, part = divmod(int(number), self.chunks_per_batch)
        return tuple(self.reader(self.positions(batch)[part * CHUNK:(part + 1) * CHUNK]))

    def decode(self, record):
        """One record, as a Chunk of single values -> (image [S, S, 3], label, weight)."""
        image = preprocess.decode_window(record.encoded, record.is_png, record.windows)
        image = preprocess.resize(image, self.image_size)
        if self.flips:
            image = preprocess.mirror(image, record.flips)
        if self.colours:
            image = preprocess.distort_colours(image, record.colours)
        image = preprocess.finish(image, self.normalize_on)
        image.set_shape([self.image_size, self.image_size, 3])
        return image, record.labels, record.weights

    def _synthetic_batches(self, chunk_numbers):
        pool = self.source.images(self.image_size)
        if self.normalize_on == 'host':
            pool = (pool * (2.0 / 255.0) - 1.0).astype(np.float32)

        def batch(number):
            positions = self.positions(int(number) // self.chunks_per_batch)
            records = self.order(positions)[1]
            weights = (positions < self.source.num_examples) | self.training
            return (pool[records % len(pool)], self.source.label(records),
                    weights.astype(np.float32))

        def tensors(number):
            images, labels, weights = tf.numpy_function(
                batch, [number], [tf.as_dtype(pool.dtype), tf.int32, tf.float32])
            images.set_shape([self.batch_size] + list(pool.shape[1:]))
            labels.set_shape([self.batch_size])
            weights.set_shape([self.batch_size])
            return images, labels, weights

        whole = chunk_numbers.filter(lambda number: tf.equal(number % self.chunks_per_batch, 0))
        return self._with_options(whole.map(tensors).prefetch(PREFETCHED_BATCHES))

    def _with_options(self, batches):
        options = tf.data.Options()
        options.experimental_deterministic = True
        # Decoding gets threads of its own: in the session's pool it would hold up the step.
        options.experimental_threading.private_threadpool_size = self.num_threads + CHUNKS_AT_ONCE
        options.experimental_threading.max_intra_op_parallelism = 1
        return batches.with_options(options)


class TrainPipeline(Pipeline):
    """Endless shuffled, augmented batches of one rank (see data/order.py).

    augment=False keeps the order of the files and takes evaluation's crop, without flip and colours.
    """

    def __init__(self, dataset, batch_size, image_size, preprocessing_name, seed=0, rank=0,
                 world_size=1, num_threads=2, normalize_on='host', on_bad_record='stop',
                 augment=True):
        order = Order(dataset.num_examples, seed, shuffle=augment)
        super().__init__(dataset, batch_size, image_size, preprocessing_name, num_threads,
                         normalize_on, on_bad_record, True, order, augment)
        self.rank, self.world_size = rank, world_size

    def positions(self, batch):
        return batch_positions(batch, self.batch_size, self.rank, self.world_size)

    def dataset(self, start_batch=0):
        """tf.data.Dataset of (images [B, S, S, 3] float32 in -1..1, or uint8; labels int32 [B]) from a batch on."""
        chunks = tf.data.Dataset.range(start_batch * self.chunks_per_batch, np.iinfo(np.int64).max)
        return self._batches(chunks).map(lambda images, labels, weights: (images, labels))


class EvalPipeline(Pipeline):
    """Every record once, in the order of the files; `num_batches` batches, the last one filled up with weight 0."""

    def __init__(self, dataset, batch_size, image_size, preprocessing_name, num_threads=2,
                 normalize_on='host', on_bad_record='stop'):
        order = Order(dataset.num_examples, 0, shuffle=False)
        super().__init__(dataset, batch_size, image_size, preprocessing_name, num_threads,
                         normalize_on, on_bad_record, False, order, False)
        self.num_batches = -(-dataset.num_examples // batch_size)

    def dataset(self):
        """tf.data.Dataset of (images as in training, labels int32 [B], weights float32 [B]), `num_batches` long."""
        return self._batches(tf.data.Dataset.range(self.num_batches * self.chunks_per_batch))


class Checker:
    """Reads and decodes single records by the pipeline's own graph, in a session of its own on the CPU."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        with tf.Graph().as_default() as graph, tf.device('/cpu:0'):
            self.fields = Chunk(*(tf.placeholder(dtype, shape) for dtype, shape
                                  in zip(CHUNK_TYPES, CHUNK_SHAPES)))
            self.image = pipeline.decode(self.fields)[0]
        self.session = tf.Session(graph=graph, config=tf.ConfigProto(
            device_count={'GPU': 0}, intra_op_parallelism_threads=1, inter_op_parallelism_threads=1))

    def __call__(self, position):
        """None, or a BadRecord."""
        reader = self.pipeline.reader
        try:
            chunk = reader(np.array([position]))
        except BadRecord as error:
            return error
        try:
            self.session.run(self.image.op, {
                tensor: values[0] for tensor, values in zip(self.fields, chunk)})
        except tf.errors.OpError as error:
            record = int(reader.order(np.array([position]))[1][0])
            return BadRecord(*reader.dataset.locate(record), reason=error.message.split('\n')[0])
        return None
