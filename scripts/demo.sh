#!/usr/bin/env bash
# Sets up, then trains a small MobileNetV1 on scikit-learn's handwritten digits and evaluates it on the held-out ones.
# The files of the run are under results/demo; a second run starts anew.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
python=.venv/bin/python
run=results/demo
rm -rf "$run"
mkdir -p "$run"
echo "what it is trained on: $run/batch.png"
$python scripts/show_batch.py --dataset_name digits --preprocessing_name none --image_size 48 --batch_size 32 \
    --output "$run/batch.png" > /dev/null &
echo "training (half a minute on two idle cores) …"
$python train_loop.py --dataset_name digits --preprocessing_name none --image_size 48 --model_name mobilenet_v1_025 \
    --batch_size 32 --max_epoch 6 --learning_rate 0.05 --warmup_epochs 1 --moving_average_decay 0.99 \
    --iterations_per_loop 50 --train_dir "$run"
wait $!
echo "evaluating on the 359 held-out images …"
$python eval_loop.py --checkpoint_path "$run" --per_class
echo "curves: .venv/bin/tensorboard --logdir $run"
