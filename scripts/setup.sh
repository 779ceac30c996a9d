#!/usr/bin/env bash
# Makes .venv with CPython 3.7, TensorFlow 1.15 and the pinned requirements; does nothing when nothing changed.
#   PYTHON=/path/to/python3.7   use this interpreter
#   TF_BUILD=onednn|stock|system   which TensorFlow 1.15 (default: onednn on x86-64, stock elsewhere);
#       system: the one that the interpreter already has (an Ascend image), nothing of it is replaced
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "setup: $*" >&2; exit 2; }

is_python37() {  # a pyenv shim may exist and yet not run: ask it
    [ "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.7 ]
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_python37 "$PYTHON" || die "PYTHON=$PYTHON is not CPython 3.7 (TensorFlow 1.15 has no newer wheels)"
        echo "$PYTHON"; return
    fi
    if is_python37 python3.7; then command -v python3.7; return; fi
    local candidate
    if command -v pyenv >/dev/null; then
        for candidate in "$(pyenv root)"/versions/3.7.*/bin/python3.7; do
            if is_python37 "$candidate"; then echo "$candidate"; return; fi
        done
    fi
    if command -v conda >/dev/null; then
        [ -x .conda-py37/bin/python ] || conda create -y -q -p "$PWD/.conda-py37" python=3.7 >&2 || true
        if is_python37 .conda-py37/bin/python; then echo "$PWD/.conda-py37/bin/python"; return; fi
    fi
    if command -v uv >/dev/null; then
        uv python install -q 3.7 >&2 || true
        candidate=$(uv python find 3.7 2>/dev/null || true)
        if [ -n "$candidate" ] && is_python37 "$candidate"; then echo "$candidate"; return; fi
    fi
    die "no CPython 3.7 found: install it (pyenv install 3.7.16, or conda, or uv), or set PYTHON=/path/to/python3.7"
}

build=${TF_BUILD:-}
if [ -z "$build" ]; then
    [ "$(uname -m)" = x86_64 ] && build=onednn || build=stock
fi
case $build in
    onednn|stock) requirements=(-r "requirements/tensorflow-$build.txt" -r requirements/base.txt -r requirements/test.txt
                                -c requirements/constraints.txt)
                  venv_options=() ;;
    system)       requirements=(-r requirements/test.txt tqdm Pillow scikit-learn matplotlib google-crc32c numba)
                  venv_options=(--system-site-packages) ;;
    *)            die "TF_BUILD=$build: use onednn, stock or system" ;;
esac
[ "$build" != onednn ] || [ "$(uname -m)" = x86_64 ] || die "TF_BUILD=onednn is for x86-64 only: use stock or system"

compile_kernel() { [ "$build" != onednn ] || .venv/bin/python -m mobilenet.native; }

stamp=.venv/.setup-stamp
want="$build ${PYTHON:-} $(cat requirements/*.txt scripts/setup.sh | cksum)"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && is_python37 .venv/bin/python; then
    compile_kernel
    exit 0
fi

python=$(find_python)
if [ "$build" = system ] && ! "$python" -c 'import tensorflow as tf; assert tf.__version__.startswith("1.15")' 2>/dev/null; then
    die "TF_BUILD=system, but $python has no TensorFlow 1.15: set PYTHON to the one that has, or use TF_BUILD=stock"
fi
has_adapter='import glob, importlib.util, sys
spec = importlib.util.find_spec("npu_bridge")
sys.exit(not (spec and glob.glob(spec.submodule_search_locations[0] + "/**/*.so", recursive=True)))'
if [ "$build" = onednn ] && "$python" -c "$has_adapter"; then
    die "npu_bridge is there, and it is built against stock TensorFlow, another C++ ABI than the oneDNN build's: set TF_BUILD=system" \
        "(PYTHON=the interpreter that has the vendor's TensorFlow 1.15), or leave CANN's set_env.sh out to set up for the host"
fi
echo "setup: $python, TensorFlow build: $build" >&2
rm -rf .venv
"$python" -m venv ${venv_options[@]+"${venv_options[@]}"} .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "${requirements[@]}" >&2 \
    || die "pip could not install the requirements (see above); on aarch64 use TF_BUILD=system with the vendor's TensorFlow 1.15"
.venv/bin/python -c 'import tensorflow as tf; assert tf.__version__.startswith("1.15"), tf.__version__' 2>/dev/null \
    || die "TensorFlow 1.15 does not import in .venv: run .venv/bin/python -c 'import tensorflow' to see why"
compile_kernel
echo "$want" > "$stamp"
