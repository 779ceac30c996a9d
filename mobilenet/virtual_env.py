"""A virtual environment for packages that do not go with TensorFlow 1.15, made at its first use."""

import os
import subprocess
import sys
import sysconfig

from mobilenet.errors import UsageError


def python(folder, packages, interpreter=None, options=(), lent=False, variables=None):
    """The Python of the environment in `folder`; it is made where it is not there, or has other
    packages, or the interpreter that it links to is gone.

    interpreter: default the one that runs; options: of `pip install`; lent: what the Python that
    runs now imports is found there too, after its own packages; variables: of pip's environment.

    Raises UsageError where it cannot be made.
    """
    made, stamp = os.path.join(folder, 'bin', 'python'), os.path.join(folder, 'installed')
    wanted = ' '.join(packages)
    is_there = os.path.exists(made) and _read(stamp).strip() == wanted
    if not is_there:
        print(f'setting up {folder}: {wanted}', file=sys.stderr, flush=True)
        _call([interpreter or os.path.realpath(sys.executable), '-m', 'venv', '--clear', folder])
    if lent:
        _lend_packages(folder)
    if not is_there:
        install = [made, '-m', 'pip', '--disable-pip-version-check', 'install', '-q', *options]
        _call(install + packages, variables)
        _write(stamp, wanted)
    return made


def _lend_packages(folder):
    path = os.path.join(sysconfig.get_path('purelib', vars={'base': folder}), 'lent.pth')
    wanted = ''.join(f'{entry}\n' for entry in sys.path if entry.endswith('-packages'))
    if _read(path) != wanted:
        _write(path, wanted)


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ''


def _write(path, text):
    with open(path, 'w') as file:
        file.write(text)


def _call(command, variables=None):
    env = {**os.environ, **(variables or {})}
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors='replace', env=env
    )
    if ended.returncode:
        lines = [line for line in ended.stdout.splitlines() if line.strip()] or ['no output']
        raise UsageError(f'{" ".join(command)} failed: {lines[-1]}')
