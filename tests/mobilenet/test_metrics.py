"""The bar at a terminal's width, and a run's last line."""

import io
import os
import types

import pytest
from tqdm import tqdm

from mobilenet import metrics

LINE = {
    'epoch': 123.45,
    'loss': 12.3456,
    'accuracy': 0.123,
    'learning_rate': 0.000123,
    'loss_scale': 4096.0,
    'images_per_sec': 12345.0,
}


@pytest.mark.parametrize('columns', [80, 100, 120, 200])
def test_the_bar_is_one(columns, monkeypatch):
    size = os.terminal_size((columns, 24))
    monkeypatch.setattr(os, 'get_terminal_size', lambda *descriptor: size)
    out = io.StringIO()
    bar = tqdm(total=187671, initial=100000, unit='step', file=out, ncols=columns)
    bar.set_postfix_str(metrics.bar_text(LINE))
    shown = out.getvalue().split('\r')[-1]
    bar.close()
    assert len(shown.rstrip()) <= columns and 'loss 12.3456' in shown
    assert len(shown.split('|')[1]) >= 8, shown


@pytest.mark.parametrize(
    'step,dynamic,words',
    [
        (0, False, 'all 7 steps were skipped (overflow), nothing was learned: give a smaller '
         '--loss_scale, or dynamic;'),
        (0, True, 'all 7 steps were skipped (overflow), nothing was learned: give a smaller '
         '--loss_scale, dynamic:START;'),
        (1, True, 'done: 7 steps, 6 of them skipped, weights in model.ckpt'),
        (7, True, 'done: 7 steps, weights in model.ckpt'),
    ],
)  # fmt: skip
def test_a_run_that_learned_nothing_says_so(step, dynamic, words):
    run = types.SimpleNamespace(
        batch=7,
        step=step,
        total_steps=7,
        is_main=True,
        checkpointer=types.SimpleNamespace(latest=lambda: 'model.ckpt'),
        config=types.SimpleNamespace(dynamic_loss_scale=dynamic),
    )
    assert metrics.last_line(run).startswith(words)
