"""Runs the cases of tests/helpers/npu_*_cases.py, each in its own process, with one TensorFlow
import.

A refusal of the simulated NPU ends the process, so that a case needs its own; importing TensorFlow
takes seconds, so the processes are forked from one that has imported it and has no session yet.

    run('case_name') -> Result(status, out, err)
"""

import atexit
import collections
import json
import os
import subprocess
import sys
import tempfile
import traceback

from tests.helpers import ROOT

TIMEOUT = 400
# Of the simulated device and its adapter: NPU_SIM_OVERFLOW, NPU_SIM_ADAPTER.
MODES = [(mode, adapter) for mode in ('saturate', 'inf_nan') for adapter in ('new', 'old')]

Result = collections.namedtuple('Result', 'status out err')
_server = None


def run(case):
    """Runs one function of the case modules; the server starts at the first call."""
    global _server
    if _server is None or _server.poll() is not None:
        _server = _start()
    _server.stdin.write(case + '\n')
    _server.stdin.flush()
    line = _server.stdout.readline()
    assert line, f'the case server ended in {case}'
    return Result(**json.loads(line))


def environment():
    """As a user would set it: our root first, then the simulated NPU; one rank, no table."""
    env = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(('RANK_', 'MOBILENET_')) and k not in ('DEVICE_ID', 'JOB_ID')
    }
    env['PYTHONPATH'] = os.pathsep.join([ROOT, os.path.join(ROOT, 'tests', 'npu_sim')])
    env.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    return env


def _start():
    server = subprocess.Popen(
        [sys.executable, '-W', 'ignore', os.path.abspath(__file__)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        universal_newlines=True,
    )
    atexit.register(server.kill)
    return server


def serve():
    from tests.helpers import npu_device_cases, npu_loop_cases, npu_session_cases, npu_step_cases

    cases = {}
    for module in (npu_loop_cases, npu_session_cases, npu_device_cases, npu_step_cases):
        cases.update(vars(module))
    for line in sys.stdin:
        print(json.dumps(_fork(cases[line.strip()])), flush=True)


def _fork(case):
    with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as err:
        child = os.fork()
        if child == 0:
            _run_in_child(case, out, err)
        status = os.waitpid(child, 0)[1]
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
        return {
            'status': os.WEXITSTATUS(status) if os.WIFEXITED(status) else -status,
            'out': texts[0],
            'err': texts[1],
        }


def _run_in_child(case, out, err):
    import signal

    signal.alarm(TIMEOUT)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    status = 0
    try:
        case()
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == '__main__':
    serve()
