"""Where weights come from, behind one interface: names, shapes, values, step."""

import os

import numpy as np
import tensorflow as tf

from mobilenet import checkpoints, text
from mobilenet.checkpoints import alias
from mobilenet.errors import UsageError
from mobilenet.moving_averages import EMA_SUFFIX
from mobilenet.weights import graph_constants, networks

SAVED_MODEL = 'saved_model.pb'
# Where an object-based checkpoint (TensorFlow 2, tf.train.Checkpoint) keeps its variables' names.
OBJECT_GRAPH = '_CHECKPOINTABLE_OBJECT_GRAPH'


class BrokenWeights(UsageError):
    """The files are there and named as weights are, but cannot be read."""


class Weights:
    """path: as opened; kind: 'checkpoint', 'frozen graph' or 'SavedModel'; shapes: {name: tuple}
    of all tensors; step: the training's global_step, or None; class_names: of the outputs, where
    the graph has them, else None.
    """

    def __init__(self, path, kind, shapes, read, class_names=None):
        self.path, self.kind, self.shapes, self._read = path, kind, shapes, read
        self.class_names = class_names
        self.step = int(self.value('global_step')) if shapes.get('global_step') == () else None

    def value(self, name):
        """The numpy array of a tensor. Raises BrokenWeights."""
        return self.values([name])[name]

    def values(self, names):
        """{name: numpy array}. Raises BrokenWeights."""
        try:
            return {name: np.asarray(value) for name, value in self._read(names).items()}
        except (tf.errors.OpError, ValueError) as error:
            raise broken(self.path, error)

    @property
    def has_averages(self):
        return any(name.endswith(EMA_SUFFIX) for name in self.shapes)

    @property
    def folder(self):
        """The folder that may hold what belongs to them: config.json, labels.txt."""
        return self.path if os.path.isdir(self.path) else os.path.dirname(self.path) or '.'


def broken(path, error):
    return BrokenWeights(
        f'{path} cannot be read, it is damaged or something else: {str(error).splitlines()[0]}'
    )


def locate(path, flag='--checkpoint_path'):
    """--checkpoint_path (a checkpoint, a folder of them, a .pb file, a SavedModel's folder or its
    saved_model.pb) -> the path of one of them: of a folder, its newest checkpoint. Raises
    UsageError, with the flag's name where there is one.
    """
    if os.path.isfile(path) and os.path.basename(path) == SAVED_MODEL:
        return os.path.dirname(path) or '.'
    if os.path.isfile(path) and path.endswith('.pb'):
        return path
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, SAVED_MODEL)):
            return path
        graphs = [name for name in text.names_in(path) if name.endswith('.pb')]
        if graphs and not checkpoints.in_folder(path):
            if graphs[1:]:
                said = f'{flag}={path}' if flag else path
                raise UsageError(f'{said} holds several graphs: give one, such as {graphs[0]}')
            return os.path.join(path, graphs[0])
    return checkpoints.resolve(path, flag)


def open_weights(path):
    """The Weights at a path that `locate` gave. Raises BrokenWeights."""
    if os.path.isdir(path):
        return _saved_model(path)
    if path.endswith('.pb') and os.path.isfile(path):
        graph = graph_constants.read_graph(path, broken)
        opened = _constants(path, 'frozen graph', graph)
        if graph_constants.has_variables(graph) and networks.scope_of(opened.shapes)[0] is None:
            raise BrokenWeights(
                f'{path} is a graph without the values of its variables: give the checkpoint of '
                'them, or a frozen graph'
            )
        return opened
    return _checkpoint(path, 'checkpoint', path)


def _constants(path, kind, graph):
    constants = graph_constants.of_graph(graph)
    shapes = {name: constant.shape for name, constant in constants.items()}
    return Weights(
        path,
        kind,
        shapes,
        lambda names: {n: constants[n].value() for n in names},
        graph_constants.class_names_in(graph),
    )


def _saved_model(path):
    graph = graph_constants.read_saved_model(os.path.join(path, SAVED_MODEL), broken)
    prefix = os.path.join(path, 'variables', 'variables')
    if checkpoints.is_whole(prefix):
        return _checkpoint(path, 'SavedModel', prefix)
    if graph_constants.has_variables(graph):
        raise BrokenWeights(f'{path}: not all of {prefix}.* is there: copy the folder anew')
    return _constants(path, 'SavedModel', graph)


def _checkpoint(path, kind, prefix):
    try:
        checkpoints.check(prefix)
        with alias.readable(prefix) as plain:
            reader = tf.train.load_checkpoint(plain)
            shapes = {n: tuple(s) for n, s in reader.get_variable_to_shape_map().items()}
            keys = _names_of_objects(reader) if OBJECT_GRAPH in shapes else {}
    except checkpoints.Damaged as error:
        raise BrokenWeights(str(error))
    except (tf.errors.OpError, ValueError) as error:
        raise broken(path, error)
    shapes.update({name: shapes[key] for name, key in keys.items()})
    for key in [OBJECT_GRAPH, *keys.values()]:
        shapes.pop(key, None)

    def read(names):
        with alias.readable(prefix) as plain:
            reader = tf.train.load_checkpoint(plain)
            return {name: reader.get_tensor(keys.get(name, name)) for name in names}

    return Weights(path, kind, shapes, read)


def _names_of_objects(reader):
    """{variable's own name: key} of an object-based checkpoint, whose keys are paths of objects."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2 as objects

    graph = objects.TrackableObjectGraph.FromString(reader.get_tensor(OBJECT_GRAPH))
    return {
        attribute.full_name: attribute.checkpoint_key
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.full_name and reader.has_tensor(attribute.checkpoint_key)
    }
