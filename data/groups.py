"""Groups of images: one call of Python from TensorFlow reads, decodes and finishes a group.

Such a call costs 0.05 to 0.1 ms, as much as a tenth of an image's decoding, so it must not be made
for each image, whatever the batch size. A batch is cut into equal groups; where it cannot be, the
last one is filled up, and the filling dropped again.
"""

import numpy as np
import tensorflow as tf

from data import preprocess
from data.decoding import MOST, Decoder
from data.memory import aligned_empty, budget
from data.tfrecord import BadRecord

# Images of more pixels are not read and decoded together but one by one, within the budget.
CHUNK_PIXELS = 1 << 23
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
        self.in_a_batch = -(-batch_size // MOST)
        self.size = -(-batch_size // self.in_a_batch)
        self._decode, self._shape = Decoder(), [image_size, image_size, 3]

    def batches(self, first_batch, last_batch, num_threads):
        """tf.data.Dataset of (images, labels, weights) of batches [first_batch, last_batch)."""
        n = self.in_a_batch
        return (
            tf.data.Dataset.range(first_batch * n, last_batch * n)
            .map(plain(self._group), num_parallel_calls=num_threads)
            .batch(n, drop_remainder=True)
            .map(plain(self._joined))
        )

    def _positions(self, number):
        """The positions, in the stream of all ranks, of the n-th group of this rank."""
        batch, place = divmod(int(number), self.in_a_batch)
        return self.positions(batch)[place * self.size : (place + 1) * self.size].tolist()

    def _group(self, number):
        """(images, labels, weights) of a group. A bad record ends the session's run, or something
        stands in for it.
        """

        def run(number):
            images = aligned_empty([self.size] + self._shape, self.image_type.as_numpy_dtype)
            labels, weights = np.zeros(self.size, np.int32), np.zeros(self.size, np.float32)
            i = 0
            for chunk in self._chunks(number):
                for (position, example), pixels in zip(chunk, self._decoded(chunk)):
                    example = self._show(position, example, images[i], pixels)
                    labels[i], weights[i] = example.label, example.weight
                    i += 1
            return images, labels, weights

        return tf.numpy_function(run, [number], [self.image_type, tf.int32, tf.float32])

    def show(self, position):
        """(image, label, weight) at a position, as in a batch. Raises BadRecord."""
        image = np.empty(self._shape, self.image_type.as_numpy_dtype)
        example = self._show(position, self.reader(position), image)
        return image, example.label, example.weight

    def check(self, position):
        """None, or the BadRecord of what is wrong at a position, read and decoded."""
        try:
            self._finish(position, self.reader.read(position), np.empty(self._shape, np.uint8))
        except BadRecord as error:
            return error
        return None

    def _chunks(self, number):
        """Yields [(position, Example)] of a group: all of it, or as far as its images are large."""
        chunk, pixels = [], 0
        for position in self._positions(number):
            chunk.append((position, self.reader(position)))
            pixels += chunk[-1][1].pixels
            if pixels > CHUNK_PIXELS:
                yield chunk
                chunk, pixels = [], 0
        if chunk:
            yield chunk

    def _decoded(self, chunk):
        """The pixels of each, or None: to be decoded by itself, being large or beside a bad one."""
        examples = [example for _, example in chunk]
        if sum(example.pixels for example in examples) <= CHUNK_PIXELS:
            try:
                return self._decode(examples)
            except tf.errors.OpError:
                pass
        return [None] * len(examples)

    def _show(self, position, example, out, pixels=None):
        """The image at a position goes to `out`. Returns the Example: the one that is given, or
        what stands in for it. Raises BadRecord.
        """
        try:
            self._finish(position, example, out, pixels)
        except BadRecord as error:
            if self.reader.on_bad_record == 'stop':
                raise
            self.reader.note(error)
            example = self.reader.stand_in(position, self.check)
            self._finish(position, example, out)
        return example

    def _finish(self, position, example, out, pixels=None):
        try:
            with budget.hold(0 if pixels is not None else 3 * example.pixels):
                if pixels is None:
                    (pixels,) = self._decode([example])
                colour = example.colour if self.recoloured else None
                preprocess.finish(pixels, example.window, example.flip, colour, out)
        except tf.errors.OpError as error:
            raise self.reader.undecodable(position, error)

    def _joined(self, images, labels, weights):
        """[groups, group size, …] -> [batch size, …]: the same memory where groups are equal."""
        total, size = self.in_a_batch * self.size, self.image_size
        images = tf.reshape(images, [total, size, size, 3])
        labels, weights = tf.reshape(labels, [total]), tf.reshape(weights, [total])
        if total == self.batch_size:
            return images, labels, weights
        return tuple(part[: self.batch_size] for part in (images, labels, weights))
