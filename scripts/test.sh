#!/usr/bin/env bash
# Sets up, then runs every test; --quick: those that take no whole run, under a minute.
# Other arguments go to pytest: scripts/test.sh tests/mobilenet/test_losses.py -k smoothing
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
arguments=()
for argument in "$@"; do
    if [ "$argument" = --quick ]; then arguments+=(-m "not slow"); else arguments+=("$argument"); fi
done
SECONDS=0
status=0
.venv/bin/python -m pytest ${arguments[@]+"${arguments[@]}"} || status=$?
echo "tests: $((SECONDS / 60)) min $((SECONDS % 60)) s"
exit $status
