"""Python environments of the peers that a benchmark is compared with, made on request.

They live under the user's cache folder (XDG_CACHE_HOME, else ~/.cache), in mobilenet-tf/peers: none
of them goes with TensorFlow 1.15 on CPython 3.7.
"""

import collections
import os
import subprocess
import sys
import sysconfig

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from mobilenet import text

# command: of its Python; packages: what pip installs; over_ours: it sees the project's own packages
# too, with the same TensorFlow; variables: of the environment while pip builds.
Environment = collections.namedtuple(
    'Environment', 'command packages over_ours variables', defaults=(False, {})
)
_ENVIRONMENTS = {
    'torch': Environment('python3.11', ['torch==2.13.0', 'numpy', 'Pillow']),
    'tf2': Environment('python3.11', ['tensorflow==2.21.0']),
    'slim_stock': Environment(
        sys.executable, ['tensorflow==1.15.5', 'protobuf==3.20.3', 'numpy==1.18.5', 'h5py==2.10.0']
    ),
    # Built from source with g++ and cmake (some minutes), against the TensorFlow that is there.
    'horovod': Environment(
        sys.executable,
        ['horovod==0.28.1', 'cloudpickle', 'psutil', 'pyyaml', 'cffi', 'wheel'],
        True,
        {
            'HOROVOD_WITH_TENSORFLOW': '1',
            'HOROVOD_WITH_GLOO': '1',
            'HOROVOD_WITHOUT_MPI': '1',
            'HOROVOD_WITHOUT_PYTORCH': '1',
            'HOROVOD_WITHOUT_MXNET': '1',
            'CXXFLAGS': '-include cstdint',  # gcc 12 and later want it
            'CMAKE_BUILD_PARALLEL_LEVEL': str(os.cpu_count()),
        },
    ),
}
# peer -> environment; the others run in the project's own.
_PEERS = {
    'torch': 'torch',
    'torch_compile': 'torch',
    'tf2': 'tf2',
    'slim': None,
    'slim_stock': 'slim_stock',
}
PEERS = tuple(_PEERS)


def python(peer):
    """The Python interpreter that `peer`, or the environment of that name, runs in; it is made
    where it is not there.
    """
    name = _PEERS.get(peer, peer)
    if name is None:
        return sys.executable
    folder = os.path.join(text.cache_dir('peers'), name)
    interpreter = os.path.join(folder, 'bin', 'python')
    environment = _ENVIRONMENTS[name]
    ours = sysconfig.get_path('purelib') if environment.over_ours else ''
    wanted = ' '.join(environment.packages + [ours]).strip()
    stamp = os.path.join(folder, 'installed')
    if (_read(stamp) or '').strip() != wanted:
        print(f'setting up {folder}: {wanted}', file=sys.stderr, flush=True)
        _make(folder, interpreter, environment, ours)
        with open(stamp, 'w') as f:
            f.write(wanted)
    return interpreter


def _make(folder, interpreter, environment, ours):
    subprocess.run([environment.command, '-m', 'venv', '--clear', folder], check=True)
    install = [interpreter, '-m', 'pip', 'install', '-q']
    if ours:
        paths = [interpreter, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))']
        packages = subprocess.run(paths, check=True, stdout=subprocess.PIPE, text=True).stdout
        with open(os.path.join(packages.strip(), 'ours.pth'), 'w') as f:
            f.write(f'{ours}\n')
        install.append('--no-build-isolation')
    subprocess.run(
        install + environment.packages, check=True, env=dict(os.environ, **environment.variables)
    )


def _read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return None


def add_peers_flag(parser, peers=PEERS):
    """`--peers A,B` of a benchmark; see check_peers."""
    parser.add_argument(
        '--peers',
        type=lambda text: text.split(',') if text else [],
        default=[],
        help=f'some of {",".join(peers)}, with commas; default none',
    )


def check_peers(parser, given, peers=PEERS):
    """Ends with status 2 at a peer that a benchmark has not."""
    for peer in given:
        if peer not in peers:
            parser.error(f'--peers: {peer} is none of {", ".join(peers)}')
