"""The checkout's root on sys.path; a quiet, reproducible TensorFlow; what every test relies on."""

import os
import signal
import sys

from hypothesis import HealthCheck, settings

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('KMP_BLOCKTIME', '0')
# For the commands that tests start as well: plain kernels and a thread a process. oneDNN's graph
# passes take seconds a session; what is about its kernels says TF_DISABLE_MKL=0.
os.environ.setdefault('TF_DISABLE_MKL', '1')
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('TF_XLA_FLAGS', '--tf_xla_clustering_fuel=0')  # as the commands
# scikit-learn sets these when it is imported: what a test finds must not hang on who did so before.
os.environ.setdefault('KMP_DUPLICATE_LIB_OK', 'True')
os.environ.setdefault('KMP_INIT_AT_FORK', 'FALSE')

# Under `nohup … &` these are ignored, and so they would be in every command that a test starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)

# The same examples at every run, and no limit on seconds: a verdict on the code alone.
settings.register_profile(
    'suite', deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile('suite')

# Whole runs, processes that wait for each other, large networks: not for scripts/test.sh --quick.
SLOW = (
    'tests/commands/',
    'tests/data/test_digits.py',
    'tests/data/test_batches.py',
    'tests/data/test_verify.py',
    'tests/data/test_workers.py',
    'tests/docs/',
    'tests/hccl/test_any_input.py',
    'tests/hccl/test_ends.py',
    'tests/hccl/test_hangs.py',
    'tests/hccl/test_launcher.py',
    'tests/hccl/test_link.py',
    'tests/hccl/test_liveness.py',
    'tests/hccl/test_supervise.py',
    'tests/mobilenet/checkpoints/test_store.py',
    'tests/mobilenet/comparison/test_hostile_dumps.py',
    'tests/mobilenet/debug/test_prompt.py',
    'tests/mobilenet/debug/test_stepper.py',
    'tests/mobilenet/devices/test_npu.py',
    'tests/mobilenet/devices/test_npu_interface.py',
    'tests/mobilenet/devices/test_npu_sim.py',
    'tests/mobilenet/devices/test_npu_sim_ranks.py',
    'tests/mobilenet/devices/test_npu_steps.py',
    'tests/mobilenet/nets/',
    'tests/mobilenet/test_any_input.py',
    'tests/mobilenet/test_run_lock.py',
    'tests/mobilenet/test_step_timeout.py',
    'tests/mobilenet/test_stop_signal.py',
    'tests/mobilenet/test_terminal.py',
    'tests/mobilenet/test_train_step.py',
    'tests/mobilenet/weights/',
    'tests/scripts/',
)


def pytest_collection_modifyitems(items):
    for item in items:
        path = os.path.relpath(str(item.fspath), ROOT)
        if path.startswith(SLOW):
            item.add_marker('slow')
    # The slow ones first: no worker is left with one of them at the end.
    items.sort(key=lambda item: item.get_closest_marker('slow') is None)
