"""Scopes that put an attribute on the ops inside, for the adapter to read."""

import contextlib

import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue


@contextlib.contextmanager
def _attribute(name, value):
    with tf.get_default_graph()._attr_scope({name: value}):
        yield


def without_npu_compile_scope():
    return _attribute('_without_npu_compile', AttrValue(b=True))


def keep_dtype_scope():
    return _attribute('_keep_dtype', AttrValue(i=1))


def npu_variable_scope(placement='all'):
    return _attribute('_variable_placement', AttrValue(s=tf.compat.as_bytes(str(placement))))
