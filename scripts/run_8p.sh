#!/usr/bin/env bash
# The reference recipe on the eight devices of this server: scripts/run_8p.sh /data/imagenet [more flags of train_loop.py]
# The rank table is made from /etc/hccn.conf; RANK_TABLE=cluster.json takes another one (several servers, say).
set -euo pipefail
[ $# -ge 1 ] || { echo "run_8p.sh: give the data set's folder: scripts/run_8p.sh /data/imagenet" >&2; exit 2; }
dataset_dir=$(realpath "$1"); shift
cd "$(dirname "$0")/.."
python=python3.7
[ ! -x .venv/bin/python ] || python=.venv/bin/python
table=${RANK_TABLE:-}
if [ -z "$table" ]; then
    mkdir -p results
    table=results/hccl_8p.json
    $python scripts/make_rank_table.py --devices 0-7 -o "$table"
fi
exec $python train_loop.py --rank_table "$table" --dataset_dir "$dataset_dir" --train_dir results/imagenet_8p "$@"
