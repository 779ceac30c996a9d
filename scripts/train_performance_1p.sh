#!/usr/bin/env bash
# 1,000 steps of the reference recipe, for speed, on one device: --help lists the options.
set -euo pipefail
python=$(dirname "$0")/../.venv/bin/python
[ -x "$python" ] || python=python3.7
REFERENCE_SCRIPT=$(basename "$0") exec "$python" "$(dirname "$0")/reference_run.py" --case performance --ranks 1 "$@"
