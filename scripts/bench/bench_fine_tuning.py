#!/usr/bin/env python3
"""Fine-tuning against training from scratch, on half of the handwritten digits' classes.

    python scripts/bench/bench_fine_tuning.py

Trains on the digits 0 to 4 for 20 epochs, then on 5 to 9 at equal, few epochs from those weights
and from new ones, over three seeds; prints top-1 of the held-out images and last `ratio` lines. A
minute and a half on an idle machine of two cores. With more epochs (--epochs 5) so easy a set is
learned from new weights as well.
"""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from mobilenet import flag_types
from scripts import tool

ROOT = sys.path[0]
COMMON = [
    '--dataset_name=folder',
    '--preprocessing_name=none',
    '--image_size=32',
    '--model_name=mobilenet_v1_025',
]
EPOCHS_BEFORE = 20
TRAINING = ['--batch_size=32', '--learning_rate=0.05', '--log_every_steps=1000']


def write_halves(folder):
    """FOLDER/0_to_4 and FOLDER/5_to_9, each with train/CLASS and validation/CLASS."""
    from PIL import Image
    from sklearn import datasets

    digits = datasets.load_digits()
    for i, (image, label) in enumerate(zip(digits.images, digits.target)):
        half = '0_to_4' if label < 5 else '5_to_9'
        split = 'validation' if i % 5 == 4 else 'train'
        place = os.path.join(folder, half, split, str(label))
        os.makedirs(place, exist_ok=True)
        pixels = (image * (255 / 16) + 0.5).astype('uint8')
        Image.fromarray(pixels).save(os.path.join(place, f'{i}.png'))


def run(script, *arguments):
    """Runs a command of the project; ends this one where it fails."""
    command = [sys.executable, os.path.join(ROOT, script), *COMMON, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f'{script} failed: {ended.stderr.strip()}')


def train_and_evaluate(folder, data, seed, epochs, *flags):
    """Top-1 of the held-out images after a training."""
    run(
        'train_loop.py',
        *TRAINING,
        f'--dataset_dir={data}',
        f'--train_dir={folder}',
        f'--seed={seed}',
        f'--max_epoch={epochs}',
        '--moving_average_decay=0.99',
        '--warmup_epochs=0',
        *flags,
    )
    run('eval_loop.py', f'--dataset_dir={data}', f'--checkpoint_path={folder}')
    with open(os.path.join(folder, 'eval.jsonl')) as file:
        return json.loads(file.readlines()[-1])['top1']


def main():
    parser = flag_types.Parser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--epochs', type=flag_types.count(), default=2, help='default 2')
    parser.add_argument('--seeds', type=flag_types.count(), default=3, help='default 3')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_halves(folder)
        before = os.path.join(folder, 'before')
        first, second = [os.path.join(folder, half) for half in ('0_to_4', '5_to_9')]
        top1 = train_and_evaluate(before, first, 0, EPOCHS_BEFORE)
        print(f'digits 0 to 4, {EPOCHS_BEFORE} epochs: top-1 {top1:.3f}', flush=True)
        rows = []
        for seed in range(args.seeds):
            tuned = train_and_evaluate(
                os.path.join(folder, f'tuned_{seed}'),
                second,
                seed,
                args.epochs,
                f'--checkpoint_path={before}',
                '--checkpoint_exclude_scopes=Logits',
            )
            scratch = train_and_evaluate(
                os.path.join(folder, f'scratch_{seed}'), second, seed, args.epochs
            )
            rows.append((tuned, scratch))
            print(
                f'digits 5 to 9, {args.epochs} epochs, seed {seed}: top-1 {tuned:.3f} fine-tuned, '
                f'{scratch:.3f} from scratch',
                flush=True,
            )
    print(f'ratio fine_tuned_over_scratch {sum(t for t, _ in rows) / sum(s for _, s in rows):.3f}')
    print(f'ratio seeds_won {sum(t > s for t, s in rows) / len(rows):.2f}')


if __name__ == '__main__':
    tool.run(main)
