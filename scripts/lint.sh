#!/usr/bin/env bash
# Checks style and format of all Python files: ruff as pinned in requirements/test.txt, configured in pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
