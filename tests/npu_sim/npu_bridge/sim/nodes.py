"""The nodes of one run as the device has them: copies beside the user's own, changed and imported.

The copies have names of their own; variables are the same by `shared_name`, iterators are not
copied. They are added to the graph below TensorFlow's Python layer: nobody who walks the user's
graph meets them, and a finalized graph stays finalized.
"""

import itertools

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, node_def_pb2
from tensorflow.python import pywrap_tensorflow as c_api
from tensorflow.python.framework import c_api_util

_counter = itertools.count()


class Nodes:
    """NodeDefs by name. A tensor is written as in a NodeDef: `name`, `name:1`, `^name`."""

    def __init__(self, graph, ops):
        definition = graph.as_graph_def()
        self.graph, self.versions = graph, definition.versions
        self.ops = {op.name: op for op in ops}
        self.by_name = {n.name: n for n in definition.node if n.name in self.ops}
        self.fetched = {}  # tensor that is fetched -> the one to fetch in its place
        self.targets = []  # further nodes that every run has to run
        for node in self.by_name.values():
            node.attr.pop('_class', None)
            if node.op == 'VarHandleOp' and not node.attr['shared_name'].s:
                node.attr['shared_name'].s = node.name.encode()

    def add(self, op_type, name, inputs, **attributes):
        """A new node; gives its first output. Types are tf.DType, others bool, int, list of int or
        a TensorProto.
        """
        while name in self.by_name:
            name += '_'
        node = node_def_pb2.NodeDef(name=name, op=op_type, input=inputs)
        for key, value in attributes.items():
            node.attr[key].CopyFrom(_attribute(value))
        self.by_name[name] = node
        return name

    def constant(self, name, value, dtype):
        proto = tf.make_tensor_proto(value, dtype)
        return self.add('Const', name, [], dtype=dtype, value=proto)

    def replace(self, op, index, tensor):
        """Lets input number `index` of an op be another tensor."""
        self.by_name[op.name].input[index] = tensor

    def load(self):
        """Adds the nodes to the graph; gives the prefix of their names."""
        prefix = f'npu_sim_run_{next(_counter)}'
        own = [n for n in self.by_name.values() if n.op != 'IteratorV2']
        definition = tf.GraphDef(node=own, versions=self.versions)
        with c_api_util.tf_buffer(definition.SerializeToString()) as serialized:
            options = c_api_util.ScopedTFImportGraphDefOptions()
            c_api.TF_ImportGraphDefOptionsSetPrefix(options.options, prefix)
            for op in self.ops.values():
                if op.type == 'IteratorV2':
                    c_api.TF_ImportGraphDefOptionsAddInputMapping(
                        options.options, op.name, 0, op.outputs[0]._as_tf_output()
                    )
            with self.graph._mutation_lock():
                results = c_api.TF_GraphImportGraphDefWithResults(
                    self.graph._c_graph, serialized, options.options
                )
                c_api.TF_DeleteImportGraphDefResults(results)
        return prefix


def text(tensor):
    """A tf.Tensor as a NodeDef names it."""
    return tensor.op.name + (f':{tensor.value_index}' if tensor.value_index else '')


def _attribute(value):
    proto = attr_value_pb2.AttrValue()
    if isinstance(value, bool):
        proto.b = value
    elif isinstance(value, tf.DType):
        proto.type = value.as_datatype_enum
    elif isinstance(value, int):
        proto.i = value
    elif isinstance(value, tf.TensorShape):
        proto.shape.CopyFrom(value.as_proto())
    else:
        proto.tensor.CopyFrom(value)
    return proto
