"""A simulated Ascend adapter: npu_bridge for TensorFlow 1.15 on a CPU, for tests.

Like the real one it takes hold of TensorFlow when it is imported: a session whose configuration
has the custom optimizer `NpuOptimizer` runs "on the NPU" (`npu_bridge.sim.session`), any other
session as ever. What the adapter refuses ends the process here as well (`npu_bridge.sim.fatal`).
"""

import atexit

from npu_bridge.estimator.npu.npu_plugin import npu_close
from npu_bridge.sim import session

__version__ = 'v1.15.0'
session.take_hold()
atexit.register(npu_close)
