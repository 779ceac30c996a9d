"""A host's memory does not grow with the steps: what malloc has given out, as glibc counts it."""

import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT

RUNS = 40000  # of a kernel of oneDNN's, in sessions of 1,000
COUNT = f"""
import ctypes, sys
import tensorflow as tf
from mobilenet.devices import host, memory

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                'arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keep'.split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo2
inter_op = int(sys.argv[2])
device = host.HostDevice(inter_op=inter_op)

def run(i):
    images = tf.fill([4, 8], tf.cast(i, tf.float32))
    return tf.cast(tf.reduce_sum(tf.nn.relu(images)) / 32, tf.int32) + 1

cache = device.primitive_cache() if sys.argv[1] == 'renewed' else memory.NoCache()
loops = [tf.while_loop(lambda i: i < 1000, run, [tf.constant(0)]) for _ in range(inter_op)]
with device.session(1, 1) as sess:
    given_out = []
    for _ in range({RUNS} // 1000):
        cache.before(sess, 1000)
        assert sess.run(loops) == [1000] * inter_op
        given_out.append(libc.mallinfo2().uordblks)
print(max(given_out) - given_out[2])
"""


def growth(mode, inter_op):
    out = subprocess.run(
        [sys.executable, '-c', COUNT, mode, str(inter_op)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=dict(os.environ, TF_DISABLE_MKL='0'),
        timeout=300,
    )
    if 'mallinfo2' in out.stderr:
        pytest.skip('glibc before 2.33')
    assert out.returncode == 0, out.stderr
    return int(out.stdout)


@pytest.mark.slow
@pytest.mark.parametrize('inter_op', [1, 2])
def test_what_onednn_keeps_of_each_use_of_a_kernel_goes_with_its_primitive(inter_op):
    kept = 16 * RUNS * inter_op  # bytes; a vector doubles, so up to twice or half of it
    assert growth('left', inter_op) > kept / 2 > 5 * growth('renewed', inter_op)
