"""Runs train_loop.py and eval_loop.py, each in its own process, forked from one that has imported
TensorFlow and has no session yet: importing it is half of what a short run costs.

    run(['train_loop.py', '--flag', …], env) -> subprocess.CompletedProcess, or None: start it anew

Real starts are shown by all tests of refused flags, ranks, scripts and signals. All that a server
forks has one hash seed: that bits do not depend on it is what drills show, and runs over ranks.
"""

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHORT_NETWORKS = os.path.join(ROOT, 'tests', 'short_networks')
KNOWN_PATHS = {ROOT, SHORT_NETWORKS, os.path.join(ROOT, 'tests', 'npu_sim')}
# What Python, TensorFlow and the libraries below it read when they are loaded.
LOADED_WITH = ('TF_', 'OMP_', 'KMP_', 'MKL_', 'LD_', 'MALLOC_', 'LC_', 'LANG', 'PYTHON', 'GLIBC_')
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_server, _environment = None, dict(os.environ)  # as tests/conftest.py leaves it


def run(argv, env, timeout, cwd='.'):
    """The finished process (text); None where it would not be loaded as the server was. Raises
    TimeoutExpired, as subprocess.run does.
    """
    global _server
    paths = _paths(env)
    known = KNOWN_PATHS.union(_paths(_environment)).issuperset(paths)
    if not known or _loaded_with(env) != _loaded_with(_environment):
        return None
    if _server is None or _server.poll() is not None:
        _server = _start()
    job = {'argv': argv, 'env': env, 'paths': paths, 'timeout': timeout}
    with tempfile.TemporaryDirectory() as folder:
        job.update(cwd=os.path.abspath(str(cwd)), folder=folder)
        _server.stdin.write(json.dumps(job) + '\n')
        _server.stdin.flush()
        line = _server.stdout.readline()
        assert line, f'the command server ended in {argv}'
        said = []
        for name in ('out', 'err'):
            with open(os.path.join(folder, name), errors='replace') as f:
                said.append(f.read())
    if int(line) == -signal.SIGALRM:
        raise subprocess.TimeoutExpired(argv, timeout, *said)
    return subprocess.CompletedProcess(argv, int(line), *said)


def _paths(env):
    return [path for path in env.get('PYTHONPATH', '').split(os.pathsep) if path]


def _loaded_with(env):
    return {k: v for k, v in env.items() if k.startswith(LOADED_WITH) and k != 'PYTHONPATH'}


def _start():
    server = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__)],
        env=_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        universal_newlines=True,
    )
    atexit.register(_end, server)
    return server


def _end(server):
    server.kill()  # what runs where a test was interrupted goes with it
    server.wait()


def _end_with_parent():
    """Has the kernel kill this process with the one that made it, whatever ended that one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def serve():
    from mobilenet import devices

    _end_with_parent()
    sys.path.remove(ROOT)
    sys.path.pop(0)  # the folder of this file
    devices.import_tensorflow()
    for name in [n for n in sys.modules if n.split('.')[0] == 'mobilenet'] + ['sitecustomize']:
        sys.modules.pop(name, None)
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(job)
        status = os.waitpid(pid, 0)[1]
        print(-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
        sys.stdout.flush()


def _become(job):
    """The forked process as the command itself."""
    _end_with_parent()
    signal.alarm(int(job['timeout']))  # ends it
    for number, (name, mode) in enumerate(((os.devnull, os.O_RDONLY), ('out', 0), ('err', 0))):
        path = os.path.join(job['folder'], name)  # of an absolute one that alone
        opened = os.open(path, mode if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(job['env'])
    os.chdir(job['cwd'])
    sys.argv = job['argv']
    sys.path[:0] = [os.path.dirname(sys.argv[0]), *job['paths']]
    status = 1
    try:
        if SHORT_NETWORKS in job['paths']:
            import sitecustomize  # noqa: F401 as Python itself does
        import runpy

        runpy.run_path(sys.argv[0], run_name='__main__')
        status = 0
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == '__main__':
    sys.path.insert(0, ROOT)
    serve()
