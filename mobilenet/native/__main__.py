"""Compiles the kernel, unless it is there; ends with 0 in any case, and says in a line why there is
none: nothing depends on it but speed.
"""

import os
import subprocess
import sys
import tempfile

from mobilenet import native

# -fno-trapping-math: else comparisons of floats are not made vector code.
_FLAGS = '-std=c++11 -O3 -fno-trapping-math -ffp-contract=off -DNDEBUG -shared -fPIC'.split()


def compile_to(path):
    """Raises OSError or CalledProcessError, with the compiler's words in `output`."""
    import tensorflow as tf

    compiler = os.environ.get('CXX', 'g++').split()
    of_tensorflow = tf.sysconfig.get_compile_flags() + tf.sysconfig.get_link_flags()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        made = os.path.join(folder, 'kernel.so')
        command = [*compiler, *_FLAGS, native.SOURCE, '-o', made, *of_tensorflow]
        subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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
