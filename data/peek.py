"""One batch of a training pipeline, outside the training's graph and session."""

import tensorflow as tf

from data import contact_sheet, preprocess


def read_batch(pipeline, batch):
    """(images float32 [B, S, S, 3] in -1..1, labels int32 [B]) of a batch, by its number: the same
    bits as in training.
    """
    with tf.Graph().as_default(), tf.device('/cpu:0'):
        iterator = tf.data.make_initializable_iterator(pipeline.dataset(batch).take(1))
        images, labels = iterator.get_next()
        images = preprocess.normalize(images)
        with tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=1)) as sess:
            sess.run(iterator.initializer)
            return sess.run((images, labels))


def draw(pipeline, batch, path):
    """Writes a batch as a contact sheet; gives a line of text for each image."""
    images, labels = read_batch(pipeline, batch)
    captions = [contact_sheet.caption(pipeline.source, label) for label in labels]
    contact_sheet.write(path, images, captions, f'batch {batch}')
    return [
        f'image {i}: label {caption}, {pipeline.describe(record)}'
        for i, (caption, record) in enumerate(zip(captions, pipeline.records(batch)))
    ]
