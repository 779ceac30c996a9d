"""The constants of a frozen graph that were variables, and the last layer of a retrained one."""

import collections
import re
import warnings

import numpy as np
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import tensor_util

FLOATS = (1, 2, 19, 14)  # DT_FLOAT, DT_DOUBLE, DT_HALF, DT_BFLOAT16
MAX_BYTES = (1 << 31) - 1  # of a protocol buffer
NETWORK = re.compile(r'(.*?/)??MobilenetV[0-9]+/')
CLASS_NAMES = 'class_names'
LAST_LAYER = 'Logits/Conv2d_1c_1x1/'
VARIABLES = ('Variable', 'VariableV2', 'VarHandleOp')

Constant = collections.namedtuple('Constant', 'shape value')


def read_graph(path, broken):
    """The GraphDef of a .pb file. broken: (path, error) -> the exception to raise."""
    graph = _read(graph_pb2.GraphDef, path, broken)
    if not graph.node:
        raise broken(path, 'it has no graph')
    return graph


def read_saved_model(path, broken):
    """The GraphDef of saved_model.pb, that of the tag `serve` where there are several."""
    model = _read(saved_model_pb2.SavedModel, path, broken)
    if not model.meta_graphs:
        raise broken(path, 'it has no graph')
    serving = [m for m in model.meta_graphs if 'serve' in m.meta_info_def.tags]
    return (serving or model.meta_graphs)[0].graph_def


def _read(message, path, broken):
    try:
        with open(path, 'rb') as file, warnings.catch_warnings(record=True) as warned:
            # What ends in something else is read up to there, with a warning.
            warnings.simplefilter('always')
            found = message.FromString(file.read(MAX_BYTES))
    except Exception as error:  # protobuf's DecodeError, OSError
        raise broken(path, error)
    if warned:
        raise broken(path, warned[0].message)
    return found


def has_variables(graph):
    """Whether a graph is not frozen: its variables' values are elsewhere."""
    return any(node.op in VARIABLES for node in graph.node)


def of_graph(graph):
    """{name: Constant} of the float constants that have a shape, and those of a new last layer
    under the network's own names (see `retrained_layer`).
    """
    found = {}
    for node in graph.node:
        if node.op == 'Const' and node.attr['dtype'].type in FLOATS:
            proto = node.attr['value'].tensor
            shape = tuple(d.size for d in proto.tensor_shape.dim)
            if shape:
                found[node.name] = Constant(shape, lambda proto=proto: _array(proto))
    return {**found, **retrained_layer(graph, found)}


def class_names_in(graph):
    """The names of the outputs that scripts/export.py put into a graph, or None."""
    for node in graph.node:
        if node.op == 'Const' and node.name == CLASS_NAMES:
            names = tensor_util.MakeNdarray(node.attr['value'].tensor).ravel()
            return [name.decode('utf-8', 'replace') for name in names]
    return None


def _array(proto):
    return tensor_util.MakeNdarray(proto).astype(np.float32)


def retrained_layer(graph, constants):
    """The last layer of a retrained network under the names of ours, or {}.

    Retraining (TensorFlow's image_retraining/retrain.py) puts a fully connected layer on the pooled
    features: MatMul by constant [features, classes], plus constant [classes]. Ours is the 1x1
    convolution [1, 1, features, classes] of TF-slim.
    """
    if any(LAST_LAYER in name for name in constants):
        return {}
    nodes = {node.name: node for node in graph.node}
    weights = _constant_inputs(graph, nodes, constants, ('MatMul',), 2)
    layers = []
    for product, name in weights:
        sums = _constant_inputs(graph, nodes, constants, ('Add', 'AddV2', 'BiasAdd'), 1)
        layers += [
            (name, bias)
            for adding, bias in sums
            if any(_plain(i) == product.name for i in adding.input)
        ]
    scopes = [match.group(0) for match in map(NETWORK.match, constants) if match]
    if len(layers) != 1 or not scopes:
        return {}
    name, bias = layers[0]
    shape = (1, 1) + constants[name].shape
    last = scopes[0] + LAST_LAYER
    return {
        last + 'weights': Constant(shape, lambda: constants[name].value().reshape(shape)),
        last + 'biases': constants[bias],
    }


def _constant_inputs(graph, nodes, constants, ops, rank):
    """[(node, name of a constant of that rank that goes in)] of nodes of some op types."""
    found = []
    for node in graph.node:
        if node.op in ops:
            for name in node.input:
                name = _plain(name)
                while name in nodes and nodes[name].op == 'Identity':
                    name = _plain(nodes[name].input[0])
                if name in constants and len(constants[name].shape) == rank:
                    found.append((node, name))
    return found


def _plain(name):
    return name.lstrip('^').split(':')[0]
