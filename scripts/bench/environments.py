"""Python environments of the peers that a benchmark is compared with, made on request.

They live under the user's cache folder (XDG_CACHE_HOME, else ~/.cache), in mobilenet-tf/peers: none
of them goes with TensorFlow 1.15 on CPython 3.7.
"""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from mobilenet import text

# environment -> (command of its Python, what pip installs)
_REQUIREMENTS = {
    'torch': ('python3.11', ['torch==2.13.0', 'numpy']),
    'tf2': ('python3.11', ['tensorflow==2.21.0']),
    'slim_stock': (
        sys.executable,
        ['tensorflow==1.15.5', 'protobuf==3.20.3', 'numpy==1.18.5', 'h5py==2.10.0'],
    ),
}
# peer -> environment; the others run in the project's own.
_ENVIRONMENTS = {
    'torch': 'torch',
    'torch_compile': 'torch',
    'tf2': 'tf2',
    'slim': None,
    'slim_stock': 'slim_stock',
}
PEERS = tuple(_ENVIRONMENTS)


def python(peer):
    """The Python interpreter that `peer` runs in; its environment is made where it is not there."""
    name = _ENVIRONMENTS[peer]
    if name is None:
        return sys.executable
    folder = os.path.join(text.cache_dir('peers'), name)
    interpreter = os.path.join(folder, 'bin', 'python')
    command, packages = _REQUIREMENTS[name]
    stamp = os.path.join(folder, 'installed')
    if _read(stamp) != ' '.join(packages):
        print(f'setting up {folder}: {" ".join(packages)}', file=sys.stderr, flush=True)
        subprocess.run([command, '-m', 'venv', '--clear', folder], check=True)
        subprocess.run([interpreter, '-m', 'pip', 'install', '-q', *packages], check=True)
        with open(stamp, 'w') as f:
            f.write(' '.join(packages))
    return interpreter


def _read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return None


def add_peers_flag(parser):
    """`--peers A,B` of a benchmark; see check_peers."""
    parser.add_argument(
        '--peers',
        type=lambda text: text.split(',') if text else [],
        default=[],
        help=f'some of {",".join(PEERS)}, with commas; default none',
    )


def check_peers(parser, peers):
    """Ends with status 2 at a peer that there is none of."""
    for peer in peers:
        if peer not in PEERS:
            parser.error(f'--peers: {peer} is none of {", ".join(PEERS)}')
