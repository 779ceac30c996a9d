"""Batches of a training pipeline, outside the training's graph and session."""

import contextlib

import tensorflow as tf

from data import contact_sheet, preprocess


def read_batch(pipeline, batch):
    """(images float32 [B, S, S, 3] in -1..1, labels int32 [B]) of a batch, by its number: the same
    bits as in training.
    """
    return next(_batches(pipeline, batch, 1, preprocess.normalize))


def raw_batches(pipeline, first, count):
    """Yields (images, labels) of `count` batches from number `first` on, as the pipeline gives them
    to the training graph: images are normalized there.
    """
    return _batches(pipeline, first, count, tf.identity)


def _batches(pipeline, first, count, prepare):
    with tf.Graph().as_default() as graph, tf.device('/cpu:0'):
        iterator = tf.data.make_initializable_iterator(pipeline.dataset(first, count))
        images, labels = iterator.get_next()
        images = prepare(images)
    # Not as the default: it stays open while the caller works.
    with contextlib.closing(
        tf.Session(graph=graph, config=tf.ConfigProto(intra_op_parallelism_threads=1))
    ) as sess:
        sess.run(iterator.initializer)
        for _ in range(count):
            yield sess.run((images, labels))


def draw(pipeline, batch, path):
    """Writes a batch as a contact sheet; gives a line of text for each image."""
    images, labels = read_batch(pipeline, batch)
    captions = [contact_sheet.caption(pipeline.source, label) for label in labels]
    contact_sheet.write(path, images, captions, f'batch {batch}')
    return [
        f'image {i}: label {caption}, {pipeline.describe(record)}'
        for i, (caption, record) in enumerate(zip(captions, pipeline.records(batch)))
    ]
