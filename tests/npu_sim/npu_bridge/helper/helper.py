"""`get_gen_ops()`: the raw ops. Here a module, in the adapter a loaded shared library."""

from npu_bridge.sim import gen_ops

version = 'v1.15.0'


def get_gen_ops():
    return gen_ops
