"""Ops that start and stop the device and HCCL; they act when a session runs them."""

from npu_bridge.helper import helper

gen_npu_ops = helper.get_gen_ops()


def initialize_system(name=None):
    return gen_npu_ops.npu_init(name=name)


def shutdown_system(name=None):
    return gen_npu_ops.npu_shutdown(name=name)
