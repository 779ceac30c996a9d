"""Python environments of the peers that a benchmark is compared with, made on request.

They live under the user's cache folder (XDG_CACHE_HOME, else ~/.cache), in mobilenet-tf/peers: none
of them goes with TensorFlow 1.15 on CPython 3.7.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from mobilenet import text, virtual_env

# Arguments of virtual_env.python; the interpreter is this one where none is named.
_ENVIRONMENTS = {
    'torch': {'packages': ['torch==2.13.0', 'numpy', 'Pillow'], 'interpreter': 'python3.11'},
    'tf2': {'packages': ['tensorflow==2.21.0'], 'interpreter': 'python3.11'},
    'slim_stock': {
        'packages': ['tensorflow==1.15.5', 'protobuf==3.20.3', 'numpy==1.18.5', 'h5py==2.10.0']
    },
    # Built from source with g++ and cmake (some minutes), against the TensorFlow that is there.
    'horovod': {
        'packages': ['horovod==0.28.1', 'cloudpickle', 'psutil', 'pyyaml', 'cffi', 'wheel'],
        'options': ['--no-build-isolation'],
        'lent': True,
        'variables': {
            'HOROVOD_WITH_TENSORFLOW': '1',
            'HOROVOD_WITH_GLOO': '1',
            'HOROVOD_WITHOUT_MPI': '1',
            'HOROVOD_WITHOUT_PYTORCH': '1',
            'HOROVOD_WITHOUT_MXNET': '1',
            'CXXFLAGS': '-include cstdint',  # gcc 12 and later want it
            'CMAKE_BUILD_PARALLEL_LEVEL': str(os.cpu_count()),
        },
    },
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
    """The Python interpreter that `peer`, or the environment of that name, runs in."""
    name = _PEERS.get(peer, peer)
    if name is None:
        return sys.executable
    folder = os.path.join(text.cache_dir('peers'), name)
    return virtual_env.python(folder, **_ENVIRONMENTS[name])


def add_peers_flag(parser, peers=PEERS):
    """`--peers A,B` of a benchmark, a list."""

    def listed(text):
        given = text.split(',') if text else []
        for peer in given:
            if peer not in peers:
                raise argparse.ArgumentTypeError(f'{peer} is none of {", ".join(peers)}')
        return given

    parser.add_argument(
        '--peers',
        type=listed,
        default=[],
        help=f'some of {",".join(peers)}, with commas; default none',
    )
