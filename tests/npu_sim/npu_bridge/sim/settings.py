"""What a test can choose of the simulated device, by the environment.

NPU_SIM_OVERFLOW=inf_nan (as an Atlas A2 or A3; the default, as it is fast) or saturate (as a 910A:
  every op is watched)
NPU_SIM_ADAPTER=new (the default) or old: without the V2 status ops and is_inf_nan_enabled
NPU_SIM_CHIP=910A: float32 convolutions do not compile; by default they do
ASCEND_OPP_PATH: where the list of ops is, as on a real server; by default the simulator's own
"""

import json
import os

OPS_LIST = 'framework/built-in/tensorflow/npu_supported_ops.json'
_OWN_OPP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'opp')
_lists = {}


def saturates():
    """Whether float16 overflows to its largest value and NaN is 0, and only the register tells."""
    return _choice('NPU_SIM_OVERFLOW', ('inf_nan', 'saturate')) == 'saturate'


def is_old_adapter():
    return _choice('NPU_SIM_ADAPTER', ('new', 'old')) == 'old'


def has_float32_convolutions():
    return _choice('NPU_SIM_CHIP', ('', '910A')) == ''


def supported_ops():
    """Op types on the list."""
    given = os.environ.get('ASCEND_OPP_PATH')
    path = os.path.join(given or _OWN_OPP, OPS_LIST)
    if not os.path.exists(path):
        path = own_list()  # the adapter would leave all ops to the host
    if path not in _lists:
        with open(path) as f:
            _lists[path] = frozenset(json.load(f))
    return _lists[path]


def own_list():
    """The list for a server without one: what this project's graphs use, and what is like it."""
    return os.path.join(_OWN_OPP, OPS_LIST)


def _choice(name, values):
    value = os.environ.get(name) or values[0]
    if value not in values:
        raise ValueError('{}={}: one of {} wanted'.format(name, value, ', '.join(values)))
    return value
