"""Compiles the kernels, unless they are there; ends with 0 in any case, and says in a line why
there are none: nothing depends on them but speed.
"""

import glob
import importlib.util
import os
import subprocess
import sys
import tempfile

from mobilenet import native

# -fno-trapping-math: else comparisons of floats are not made vector code; -ffp-contract: the bits
# of TensorFlow's own ops.
_FLAGS = (
    '-std=c++11 -O3 -fno-trapping-math -ffp-contract=off -mprefer-vector-width=512 -DNDEBUG -fPIC '
    '-fopenmp'
)


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
        made = os.path.join(folder, 'kernels.so')
        objects = [os.path.join(folder, f'{i}.o') for i in range(len(native.sources()))]
        commands = [
            [*_FLAGS.split(), '-c', source, '-o', compiled]
            for source, compiled in zip(native.sources(), objects)
        ]
        # Linked apart: with -fopenmp g++ would link its own OpenMP, with threads of its own.
        commands.append(['-shared', *objects, '-o', made, openmp()])
        for command in commands:
            subprocess.run(
                compiler + command + of_tensorflow,
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding='utf-8',
                errors='replace',
            )
        try:
            tf.load_op_library(made)  # what does not load, each training would end at
        except tf.errors.OpError as error:
            raise OSError(error.message)
        os.replace(made, path)


def main():
    path = native.library()
    if native.load():
        return
    try:
        compile_to(path)
    except OSError as error:
        reason = error.strerror or error
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.output.splitlines() if 'error' in line]
        reason = f'{error.cmd[0]}: ' + (lines or ['it fails'])[0]
    else:
        return
    sys.stderr.write(
        f'setup: the C++ kernels are not compiled ({reason}): a training step on a host takes a '
        'tenth longer; with g++, or CXX=COMPILER, run `.venv/bin/python -m mobilenet.native`\n'
    )


main()
