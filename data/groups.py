"""Groups of images through the graph: one call of Python reads a group and one finishes it.

A call of Python from TensorFlow costs 0.05 to 0.1 ms, as much as a tenth of an image's decoding, so
it must not be made for each image, whatever the batch size. A batch is cut into equal groups; where
it cannot be, the last one is filled up, and the filling dropped again.
"""

import numpy as np
import tensorflow as tf

from data import preprocess
from data.decoding import LARGE_PIXELS, Decoder
from data.memory import budget
from data.reader import blank_image
from data.tfrecord import BadRecord

LARGEST_GROUP = 16
# Heights of windows that stand for an image that is finished already, and for none at all.
FINISHED, NOTHING = 0, -1
# Autograph would rewrite what it is given down to the Python that runs for each image, at 0.4 ms an
# image.
plain = tf.autograph.experimental.do_not_convert


class Groups:
    """Batches of finished images, from what a Reader reads at positions.

    positions: batch number -> int64 [batch_size]. recoloured: whether colours change.
    """

    def __init__(self, reader, positions, batch_size, image_size, image_type, recoloured):
        self.reader, self.positions, self.batch_size = reader, positions, batch_size
        self.image_size, self.image_type, self.recoloured = image_size, image_type, recoloured
        self.in_a_batch = -(-batch_size // LARGEST_GROUP)
        self.size = -(-batch_size // self.in_a_batch)
        self.decoder, self._blank = Decoder(), blank_image().encoded

    def batches(self, first_batch, last_batch, num_threads, skip_bad):
        """tf.data.Dataset of (images, labels, weights) of batches [first_batch, last_batch)."""
        n = self.in_a_batch
        group = self._group_or_stand_ins if skip_bad else self._group
        return (
            tf.data.Dataset.range(first_batch * n, last_batch * n)
            .map(plain(group), num_parallel_calls=num_threads)
            .batch(n, drop_remainder=True)
            .map(plain(self._joined))
        )

    def shown(self, example):
        """An Example as it goes into the batch, [S, S, 3]. Raises tf.errors.OpError."""
        with budget.hold(3 * example.pixels):
            return self._finish(
                [self.decoder(example)],
                np.array([example.window]),
                [example.flip],
                np.array([example.colour]),
            )[0]

    def _positions(self, number):
        """The positions, in the stream of all ranks, of the n-th group of this rank."""
        batch, place = divmod(int(number), self.in_a_batch)
        return self.positions(batch)[place * self.size : (place + 1) * self.size].tolist()

    def _group(self, number):
        """(images, labels, weights) of a group. A bad record ends the session's run."""

        def finish(windows, flips, colours, finished, *pixels):
            return self._finish(pixels, windows, flips, colours, finished)

        types = [tf.string, tf.int32, tf.bool, tf.float32, tf.int32, tf.float32, self.image_type]
        encoded, windows, flips, colours, labels, weights, finished = tf.numpy_function(
            self._read, [number], types
        )
        pixels = [
            preprocess.decode(image, window)
            for image, window in zip(tf.unstack(encoded, self.size), tf.unstack(windows, self.size))
        ]
        images = tf.numpy_function(
            finish, [windows, flips, colours, finished] + pixels, self.image_type
        )
        return images, labels, weights

    def _read(self, number):
        """The parts of a group's Examples as arrays, and of the large ones the finished images."""
        examples, finished = [], []
        for position in self._positions(number):
            example = self.reader(position)
            if example.pixels > LARGE_PIXELS:
                finished.append(self._shown_or_bad(example, position))
                example = self._stand_for(example, FINISHED)
            examples.append(example)
        filling = self._stand_for(examples[0], NOTHING)
        examples += [filling] * (self.size - len(examples))
        encoded, windows, flips, colours, labels, weights, _ = zip(*examples)
        shape = [len(finished), self.image_size, self.image_size, 3]
        return (
            np.array(encoded, object),
            np.array(windows, np.int32),
            np.array(flips),
            np.array(colours, np.float32),
            np.array(labels, np.int32),
            np.array(weights, np.float32),
            np.array(finished, self.image_type.as_numpy_dtype).reshape(shape),
        )

    def _stand_for(self, example, meaning):
        return example._replace(encoded=self._blank, window=np.array([0, 0, meaning, 0], np.int32))

    def _shown_or_bad(self, example, position):
        try:
            return self.shown(example)
        except tf.errors.OpError as error:
            raise self.reader.undecodable(position, error)

    def _group_or_stand_ins(self, number):
        """(images, labels, weights) of a group, something standing in for a bad record.

        Decoding is called from Python here, where its failure can be caught, at 0.25 ms an image.
        (A dataset of one image with ignore_errors() in a parallel interleave would do too, but
        crashes the process when its session is closed.)
        """

        def run(number):
            shape = [self.size, self.image_size, self.image_size, 3]
            images = np.empty(shape, self.image_type.as_numpy_dtype)
            labels, weights = np.zeros(self.size, np.int32), np.zeros(self.size, np.float32)
            for i, position in enumerate(self._positions(number)):
                example, images[i] = self._example_or_stand_in(position)
                labels[i], weights[i] = example.label, example.weight
            return images, labels, weights

        return tf.numpy_function(run, [number], [self.image_type, tf.int32, tf.float32])

    def _example_or_stand_in(self, position):
        example = self.reader(position)
        try:
            return example, self.shown(example)
        except tf.errors.OpError as error:
            self.reader.note(self.reader.undecodable(position, error))
            example = self.reader.stand_in(position, self.check)
            return example, self.shown(example)

    def show(self, position, skip_bad):
        """(image, label, weight) at a position, as in a batch. Raises BadRecord."""
        if skip_bad:
            example, image = self._example_or_stand_in(position)
        else:
            example = self.reader(position)
            image = self._shown_or_bad(example, position)
        return image, example.label, example.weight

    def check(self, position):
        """None, or the BadRecord of what is wrong at a position, read and decoded."""
        try:
            self._shown_or_bad(self.reader.read(position), position)
        except BadRecord as error:
            return error
        return None

    def _finish(self, pixels, windows, flips, colours, finished=()):
        return preprocess.finish(
            pixels,
            windows,
            flips,
            colours if self.recoloured else None,
            self.image_size,
            self.image_type.as_numpy_dtype,
            finished,
        )

    def _joined(self, images, labels, weights):
        """[groups, group size, …] -> [batch size, …]: the same memory where groups are equal."""
        total, size = self.in_a_batch * self.size, self.image_size
        images = tf.reshape(images, [total, size, size, 3])
        labels, weights = tf.reshape(labels, [total]), tf.reshape(weights, [total])
        if total == self.batch_size:
            return images, labels, weights
        return tuple(part[: self.batch_size] for part in (images, labels, weights))
