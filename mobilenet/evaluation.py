"""Right answers of a batch, counted by rank of the label's logit."""

import tensorflow as tf


def rank_of_label(logits, labels):
    """How many classes come before the label, in the order of numpy's stable argsort of -logits.

    Of equal logits the lower class comes first, as argmax has it. A logit that is not finite is
    never right.

    Args:
      logits: float32 [batch, num_classes]; labels: int32 [batch].

    Returns:
      int32 [batch]; 0: the label is the first answer.
    """
    num_classes = logits.shape[-1].value
    mine = tf.reduce_sum(logits * tf.one_hot(labels, num_classes), 1, keepdims=True)
    before = tf.logical_and(
        tf.equal(logits, mine), tf.range(num_classes)[None, :] < labels[:, None]
    )
    ahead = tf.reduce_sum(tf.cast(tf.logical_or(logits > mine, before), tf.int32), 1)
    finite = tf.reduce_all(tf.is_finite(logits), 1)
    return tf.where(finite, ahead, tf.fill(tf.shape(ahead), num_classes))


def accuracies(ranks):
    """{'top1', 'top5'} of an evaluation: the share of images whose label is the first answer, and
    of those where it is among the first five.

    Args:
      ranks: numpy int [images], of rank_of_label.
    """
    return {'top1': float((ranks < 1).mean()), 'top5': float((ranks < 5).mean())}
