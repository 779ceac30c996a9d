"""A network with its weights, as the commands that only apply it need it."""

import collections

import tensorflow as tf

from mobilenet import nets
from mobilenet.weights import folding, matching, sources

# values: {variable: float32 array} without folding; averaged: whether they are averages; weights:
# the sources.Weights they are of.
Trained = collections.namedtuple('Trained', 'model_name num_classes values averaged weights')


def load(path, model_name=None, use_ema=True):
    """The Trained network of --checkpoint_path. model_name: None takes what fits.

    Raises UsageError.
    """
    weights = sources.open_weights(sources.locate(path))
    fit = matching.identified(weights, model_name)
    values, averaged = matching.network_values(weights, fit.model_name, fit.num_classes, use_ema)
    return Trained(fit.model_name, fit.num_classes, values, averaged, weights)


def build(trained, images, fold=None):
    """(logits of images in [-1, 1], a function of a session that sets the weights), in the default
    graph. fold: see nets.build.
    """
    network = nets.build(trained.model_name, images, trained.num_classes, False, fold=fold)
    values = trained.values
    if fold:
        values = folding.fold(values, depthwise=fold == 'all')
    variables = tf.global_variables(nets.scope_name(trained.model_name) + '/')

    def assign(sess):
        feeds = {v.initializer.inputs[1]: values[v.op.name] for v in variables}
        sess.run([v.initializer for v in variables], feeds)

    return network.logits, assign
