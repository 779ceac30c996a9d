"""One batch of a training pipeline, outside the training's graph and session."""
import tensorflow as tf

from data import preprocess


def read_batch(pipeline, batch):
    """(images float32 [B, S, S, 3] in -1..1, labels int32 [B]) of a batch, by its number: the same bits as in training."""
    with tf.Graph().as_default(), tf.device('/cpu:0'):
        iterator = tf.data.make_initializable_iterator(pipeline.dataset(batch).take(1))
        images, labels = iterator.get_next()
        images = preprocess.normalize(images)
        with tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=1)) as sess:
            sess.run(iterator.initializer)
            return sess.run((images, labels))
