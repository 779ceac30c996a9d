#!/usr/bin/env bash
# The reference recipe, trained to its end and evaluated, on the eight devices of a server: --help lists the options.
set -euo pipefail
python=$(dirname "$0")/../.venv/bin/python
[ -x "$python" ] || python=python3.7
REFERENCE_SCRIPT=$(basename "$0") exec "$python" "$(dirname "$0")/reference_run.py" --case full --ranks 8 "$@"
