"""The adapter's ops are made of TensorFlow's own, each marked with the type that it stands for."""

import contextlib

import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue

MARK = '_npu_sim'


@contextlib.contextmanager
def standing_for(op_type, name=None):
    """Marks the ops made inside as parts of an op of that type."""
    with marked(op_type), tf.name_scope(name, op_type):
        yield


def marked(op_type):
    return tf.get_default_graph()._attr_scope({MARK: AttrValue(s=op_type.encode())})


def mark_of(op):
    """The type an op stands for; None for an op of TensorFlow's own."""
    try:
        return op.get_attr(MARK).decode()
    except ValueError:
        return None
