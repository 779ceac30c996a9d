"""The evaluation graph: one for all checkpoints; right answers, counted by rank of the label's
logit.
"""

import os
import time

import tensorflow as tf

from mobilenet import checkpoints, nets, weights
from mobilenet.weights import folding


class Evaluator:
    """The inference network on a stream of batches, for the weights of one checkpoint after
    another.

    Args:
      model_name, num_classes: the network.
      images: float32 [batch, height, width, 3] in [-1, 1]; labels: int32 [batch]; counted: float32
        [batch], 0 where an image only fills up a batch.
      outputs: the network's output for each label, a list of int.
      float16: convolutions in float16; batch norm then stays apart. Else it is folded into the
        convolutions, where oneDNN adds biases (not after depthwise ones).
    """

    def __init__(self, model_name, num_classes, images, labels, counted, outputs, float16=False):
        self.fold = None if float16 else 'convolutions'
        network = nets.build(
            model_name,
            images,
            num_classes,
            training=False,
            compute_dtype=tf.float16 if float16 else tf.float32,
            fold=self.fold,
        )
        labels = tf.gather(tf.constant(outputs, tf.int32), labels)
        rank = rank_of_label(network.logits, labels)
        answer = tf.argmax(network.logits, 1, output_type=tf.int32)
        self._fetches = [labels, answer, rank, counted]
        self._variables = tf.global_variables(nets.scope_name(model_name) + '/')

    def load(self, sess, values):
        """Sets the weights: {name: array} of the network without folding."""
        if self.fold:
            values = folding.fold(values, depthwise=False)
        feeds = {v.initializer.inputs[1]: values[v.op.name] for v in self._variables}
        sess.run([v.initializer for v in self._variables], feeds)

    def next_batch(self, sess):
        """(labels as outputs, answers, ranks of the labels) of the images that count."""
        *columns, counted = sess.run(self._fetches)
        return [column[counted > 0] for column in columns]


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


def new_checkpoints(path, done, follow, timeout):
    """What there is to evaluate at a path; of a folder, its checkpoints that are not in `done`, in
    order of step, with `follow` as they come.
    """
    if not os.path.isdir(path) or not follow:
        first = weights.locate(path)
        if first == os.path.normpath(path) or not checkpoints.in_folder(path):
            yield first
            return
    last = time.time()
    while True:
        waiting = [p for p in checkpoints.in_folder(path) if p not in done]
        for checkpoint in waiting:
            if checkpoints.is_whole(checkpoint):  # training may have deleted it meanwhile
                done.add(checkpoint)
                yield checkpoint
            last = time.time()
        if not waiting:
            if not follow or (timeout is not None and time.time() - last > timeout):
                return
            time.sleep(1.0)
