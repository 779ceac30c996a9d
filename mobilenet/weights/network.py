"""A network with its weights, as the commands that only apply it need it."""

import collections

import tensorflow as tf

from mobilenet import class_labels, nets, state
from mobilenet.weights import folding, matching, sources

# values: {variable: float32 array} without folding; averaged: whether they are averages; weights:
# the sources.Weights they are of; names: of its outputs, or None.
Trained = collections.namedtuple('Trained', 'model_name num_classes values averaged weights names')


def load(path, model_name=None, use_ema=True, class_names=None):
    """The Trained network of --checkpoint_path. model_name: None takes what fits.

    Raises UsageError.
    """
    weights = sources.open_weights(sources.locate(path))
    fit = matching.identified(weights, model_name)
    values, averaged = matching.network_values(weights, fit.model_name, fit.num_classes, use_ema)
    names = class_labels.names_of(weights.folder, class_names, fit.num_classes, weights.class_names)
    return Trained(fit.model_name, fit.num_classes, values, averaged, weights, names)


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
        state.initialize(sess, variables, values)

    return network.logits, assign
