#!/usr/bin/env bash
# Sets up, then runs every test. Arguments go to pytest: scripts/test.sh tests/mobilenet/test_losses.py
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
exec .venv/bin/python -m pytest "$@"
