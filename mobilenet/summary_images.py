"""--summary_images_at_step: the images that go in at a step, in TensorBoard."""

import tensorflow as tf

from mobilenet.hooks import Hook

MOST = 16


class SummaryImages(Hook):
    """read_batch(pipeline, batch) gives (images float32 [n, h, w, 3] in -1..1, labels) as training
    gets them.
    """

    def __init__(self, read_batch):
        self._read_batch = read_batch

    def before_loop(self, run, n):
        batch = run.config.summary_images_at_step
        if run.is_main and batch is not None and run.batch <= batch < run.batch + n:
            images, labels = self._read_batch(run.pipeline, batch)
            run.events.add_summary(summary(images[:MOST], labels[:MOST]), run.step)
            run.events.flush()
        return n


def summary(images, labels):
    """tf.Summary with each image as a PNG, its label in the tag."""
    with tf.Graph().as_default(), tf.Session() as sess:
        pixels = tf.cast(tf.clip_by_value((images + 1.0) * 127.5, 0, 255), tf.uint8)
        encoded = sess.run([tf.image.encode_png(p) for p in tf.unstack(pixels)])
    height, width = images.shape[1:3]
    return tf.Summary(
        value=[
            tf.Summary.Value(
                tag=f'images/{i:02d}_label_{label}',
                image=tf.Summary.Image(
                    height=height, width=width, colorspace=3, encoded_image_string=png
                ),
            )
            for i, (png, label) in enumerate(zip(encoded, labels))
        ]
    )
