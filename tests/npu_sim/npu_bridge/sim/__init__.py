"""The simulation itself; the real npu_bridge has no such folder."""
