"""The loss of the training step: smoothed cross entropy plus L2."""

import tensorflow as tf

from mobilenet.nets import layers


def smoothed_cross_entropy(logits, labels, label_smoothing):
    """Mean softmax cross entropy against smoothed one-hot labels.

    The target is 1 - s + s/K for the right class and s/K for the others, K = num_classes
    (Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7; as tf.losses does it).

    Args:
      logits: float32 [batch, num_classes].
      labels: int32 [batch], in [0, num_classes).
      label_smoothing: s, in [0, 1].

    Returns:
      float32 scalar.
    """
    num_classes = logits.shape[-1].value
    off = label_smoothing / num_classes
    target = tf.one_hot(labels, num_classes, on_value=1.0 - label_smoothing + off, off_value=off)
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=target, logits=logits))


def l2(variables, weight_decay):
    """weight_decay * sum(w^2) / 2 over convolution and fully connected weights; float32 scalar.

    Depthwise weights, biases and batch norm are not decayed (Howard et al. 2017, section 3.2, and
    TF-slim). For the report alone: multi_tensor.unscale_and_decay gives its gradient.
    """
    decayed = [v for v in variables if layers.is_decayed(v.op.name)]
    if not weight_decay:
        return tf.constant(0.0)
    # Not add_n, which leaks memory in the oneDNN build.
    return weight_decay * tf.reduce_sum(tf.stack([tf.nn.l2_loss(v) for v in decayed]))


def weight_decays(variables, weight_decay):
    """The Python float of each variable, 0 of those that are not decayed; see l2."""
    return [weight_decay if layers.is_decayed(v.op.name) else 0.0 for v in variables]


def count_correct(logits, labels):
    """How many of the batch have the right class first; float32 scalar."""
    right = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels)
    return tf.reduce_sum(tf.cast(right, tf.float32))
