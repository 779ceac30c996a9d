"""Batches of finished images: one call of Python from TensorFlow makes a batch, on threads of ours.

Such a call costs 0.05 to 0.1 ms, as much as a tenth of an image's decoding, so it must not be made
for each image. The threads read some images at a time (one by one, Python's own part takes twice as
long: the processor's cache has lost it meanwhile), then decode and finish them in one call without
Python's lock, straight into the batch that TensorFlow takes over as it is. What is no JPEG, or
damaged, is decoded by TensorFlow's op.
"""

import concurrent.futures

import numpy as np
import tensorflow as tf

from data import jpeg, preprocess
from data.decoding import MOST, Decoder
from data.memory import aligned_empty, budget
from data.tfrecord import BadRecord

SMALL_PIXELS = 1 << 18  # of images together that TensorFlow's op gets in one call
CHUNK_BYTES = 8 << 20  # of files that a thread reads before it decodes them
# Autograph would rewrite what it is given down to the Python that runs for each image, at 0.4 ms an
# image.
plain = tf.autograph.experimental.do_not_convert


def from_python(make, number, image_type, shape):
    """make(batch number) -> (images of `shape`, labels, weights) as tensors."""
    images, labels, weights = tf.numpy_function(make, [number], [image_type, tf.int32, tf.float32])
    images.set_shape(shape)
    labels.set_shape(shape[:1])
    weights.set_shape(shape[:1])
    return images, labels, weights


class Batches:
    """Batches of finished images, from what a Reader reads at positions.

    positions: batch number -> int64 [batch_size]. recoloured: whether colours change.
    """

    def __init__(
        self, reader, positions, batch_size, image_size, image_type, recoloured, num_threads
    ):
        self.reader, self.positions, self.batch_size = reader, positions, batch_size
        self.image_type, self.recoloured = image_type, recoloured
        self._decode, self._shape = Decoder(), [image_size, image_size, 3]
        self._parts = [slice(i, i + MOST) for i in range(0, batch_size, MOST)]
        self._threads = concurrent.futures.ThreadPoolExecutor(num_threads, 'input')
        # So many that no thread waits for the last part of a batch.
        self.at_once = 1 + -(-num_threads // len(self._parts))

    def dataset(self, first_batch, last_batch):
        """tf.data.Dataset of (images, labels, weights) of batches [first_batch, last_batch)."""
        return tf.data.Dataset.range(first_batch, last_batch).map(
            plain(self._batch), num_parallel_calls=self.at_once
        )

    def _batch(self, number):
        """(images, labels, weights) of a batch. A bad record ends the session's run, or something
        stands in for it.
        """
        count = self.batch_size

        def run(number):
            positions = self.positions(int(number)).tolist()
            images = aligned_empty([count] + self._shape, self.image_type.as_numpy_dtype)
            labels, weights = np.zeros(count, np.int32), np.zeros(count, np.float32)

            def fill(part):
                self._fill(positions[part], images[part], labels[part], weights[part])

            for _ in self._threads.map(fill, self._parts):  # raises what one of them raised
                pass
            return images, labels, weights

        return from_python(run, number, self.image_type, [count] + self._shape)

    def _fill(self, positions, images, labels, weights):
        """The images at some positions, and what goes with them, into arrays for them."""
        i = 0
        for examples in self._chunks(positions):
            done = self._finish_most(examples, images[i : i + len(examples)])
            for example, is_done in zip(examples, done):
                if not is_done:
                    example = self._show(positions[i], example, images[i])
                labels[i], weights[i] = example.label, example.weight
                i += 1

    def _chunks(self, positions):
        """Yields lists of Examples: all in one, or fewer at a time where files are large."""
        chunk, size = [], 0
        for position in positions:
            chunk.append(self.reader(position))
            size += len(chunk[-1].encoded)
            if size > CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def _finish_most(self, examples, images):
        """What takes less by several at a time than one by one: JPEGs, and small images of other
        kinds without a bad one between them. Returns a list of bool: which are in `images`.
        """
        with budget.hold(3 * max(SMALL_PIXELS, *[example.pixels for example in examples])):
            done = jpeg.finish(examples, self.recoloured, images)
            left = [i for i, is_done in enumerate(done) if not is_done]
            if left and sum(examples[i].pixels for i in left) <= SMALL_PIXELS:
                try:
                    decoded = self._decode([examples[i] for i in left])
                except tf.errors.OpError:
                    return done
                for i, pixels in zip(left, decoded):
                    self._render(pixels, examples[i], images[i])
                    done[i] = True
        return done

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

    def _show(self, position, example, out):
        """The image at a position goes to `out`. Returns the Example: the one that is given, or
        what stands in for it. Raises BadRecord.
        """
        try:
            self._finish(position, example, out)
        except BadRecord as error:
            if self.reader.on_bad_record == 'stop':
                raise
            self.reader.note(error)
            example = self.reader.stand_in(position, self.check)
            self._finish(position, example, out)
        return example

    def _finish(self, position, example, out):
        with budget.hold(3 * example.pixels):
            try:
                (pixels,) = self._decode([example])
            except tf.errors.OpError as error:
                raise self.reader.undecodable(position, error)
            self._render(pixels, example, out)

    def _render(self, pixels, example, out):
        colour = example.colour if self.recoloured else None
        preprocess.finish(pixels, example.window, example.flip, colour, out)
