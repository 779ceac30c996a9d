#!/usr/bin/env bash
# The reference recipe on one device: scripts/run_1p.sh /data/imagenet [more flags of train_loop.py]
set -euo pipefail
[ $# -ge 1 ] || { echo "run_1p.sh: give the data set's folder: scripts/run_1p.sh /data/imagenet" >&2; exit 2; }
dataset_dir=$(realpath "$1"); shift
cd "$(dirname "$0")/.."
python=python3.7
[ ! -x .venv/bin/python ] || python=.venv/bin/python
exec $python train_loop.py --dataset_dir "$dataset_dir" --learning_rate 0.05 --train_dir results/imagenet_1p "$@"
