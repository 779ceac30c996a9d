"""Compiles the kernel, unless it is there; ends with 0 in any case, and says in a line why there is
none: nothing depends on it but speed.
"""

import glob
import importlib.util
import os
import subprocess
import sys
import tempfile

from mobilenet import native

# -fno-trapping-math: else comparisons of floats are not made vector code.
_FLAGS = '-std=c++11 -O3 -fno-trapping-math -mprefer-vector-width=512 -DNDEBUG -fPIC -fopenmp'


def openmp():
    """Path of the OpenMP library that oneDNN's kernels in TensorFlow use, for the same threads."""
    site = os.path.dirname(
        importlib.util.find_spec('tensorflow_core').submodule_search_locations[0]
    )
    found = glob.glob(os.path.join(glob.escape(site), '_solib_k8', '*', 'libiomp5.so'))
    if not found:
        raise OSError(f'no libiomp5.so in {site}')
    return found[0]


def compile_to(path):
    """Raises OSError or CalledProcessError, with the compiler's words in `output`."""
    import tensorflow as tf

    compiler = os.environ.get('CXX', 'g++').split()
    of_tensorflow = tf.sysconfig.get_compile_flags() + tf.sysconfig.get_link_flags()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        code, made = os.path.join(folder, 'kernel.o'), os.path.join(folder, 'kernel.so')
        # Linked apart: with -fopenmp g++ would link its own OpenMP, with threads of its own.
        for command in (
            [*_FLAGS.split(), '-c', native.SOURCE, '-o', code],
            ['-shared', code, '-o', made, openmp()],
        ):
            subprocess.run(
                compiler + command + of_tensorflow,
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        os.replace(made, path)


def main():
    path = native.library()
    if os.path.exists(path):
        return
    try:
        compile_to(path)
    except OSError as error:
        reason = error.strerror or error
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.output.splitlines() if 'error' in line]
        reason = (lines or error.output.splitlines() or ['no word of the compiler'])[0]
    else:
        return
    sys.stderr.write(
        f"setup: relu6's kernel is not compiled ({reason}): a training step on a host takes a "
        'tenth longer; with g++, or CXX=COMPILER, run `.venv/bin/python -m mobilenet.native`\n'
    )


main()
