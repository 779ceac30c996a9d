"""What a run reports as it goes: metrics.jsonl, lines in train.log, TensorBoard scalars, and the
bar.
"""

import json
import math
import os
import sys
import time

from tqdm import tqdm

from mobilenet import appending
from mobilenet.events import EventWriter, scalars
from mobilenet.hooks import Hook


class Metrics(Hook):
    """Rank 0's bar, metrics.jsonl, train.log lines and TensorBoard scalars; a last line on every
    rank.
    """

    def before_graph(self, run):
        if run.is_main:
            appending.check(self._path(run))

    def session_ready(self, run):
        config = run.config
        terminal = run.is_main and not config.step
        self._bar_shown = terminal and sys.stderr.isatty()
        self._lines_shown = terminal and not self._bar_shown
        self._first = self._last_logged = run.batch
        self._started = time.monotonic()
        if run.is_main:
            path = self._path(run)
            appending.drop_lines_after(path, ('step', 'skipped_steps'), run.batch)
            self._file = appending.Appender(path)
            run.events = EventWriter(config.train_dir, first_step=run.step + 1)
        for text in (run.dataset.summary, *run.dataset.notes, first_line(run)):
            run.say(text)
        self._bar = tqdm(
            total=run.total_steps,
            initial=run.batch,
            unit='step',
            dynamic_ncols=True,
            disable=not self._bar_shown,
        )

    def after_loop(self, run, n, values, seconds):
        line = entry(run, n, values, seconds)
        if run.is_main:
            self._write(run, line)
        self._bar.set_postfix_str(bar_text(line), refresh=False)
        self._bar.update(run.batch - self._bar.n)
        due = run.batch - self._last_logged >= run.config.log_every_steps
        if due or run.batch >= run.total_steps:
            self._last_logged = run.batch
            self._log(run, line)

    @staticmethod
    def _path(run):
        return os.path.join(run.config.train_dir, 'metrics.jsonl')

    def _write(self, run, line):
        finite = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in line.items()
        }
        self._file.append(json.dumps(finite).encode() + b'\n')
        values = {k: v for k, v in line.items() if k not in ('step', 'time')}
        run.events.add_summary(scalars(values), line['step'])
        run.events.flush()

    def _log(self, run, line):
        total = run.total_steps
        spent = time.monotonic() - self._started
        left = spent / max(run.batch - self._first, 1) * (total - run.batch)
        text = LINE.format(total=total, left=tqdm.format_interval(left), **line)
        run.logger.info(text)
        if self._lines_shown:
            print(text, file=sys.stderr, flush=True)

    def end(self, run, error):
        if run.sess is None:
            return
        self._bar.close()
        if error is None:
            run.say(last_line(run))
            for place, reason in run.pipeline.bad_records.items():
                run.say(f'skipped {place}: {reason}')
        if run.is_main:
            self._file.close()
            run.events.close()


BAR = (
    'epoch {epoch:.2f} loss {loss:.4f} acc {accuracy:.3f} lr {learning_rate:.3g} '
    'scale {loss_scale:g} {images_per_sec:.0f} img/s'
)
SHORT_BAR = 'loss {loss:.4f} acc {accuracy:.3f}'
WIDE = 120  # columns that leave a bar beside BAR
LINE = (
    'step {step} of {total}  epoch {epoch:.2f}  loss {loss:.4f}  total_loss {total_loss:.4f}  '
    'accuracy {accuracy:.4f}  learning_rate {learning_rate:.6g}  loss_scale {loss_scale:g}  '
    'skipped {skipped_steps}  {images_per_sec:.1f} images/s  {left} left'
)


def bar_text(line):
    """What stands behind the bar, as the terminal has room for."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return (BAR if columns >= WIDE else SHORT_BAR).format(**line)


def first_line(run):
    config = run.config
    return (
        f'{config.model_name} on {config.device}, {run.dataset.num_examples} images, '
        f'{config.steps_per_epoch:g} steps an epoch, {run.total_steps} steps, '
        f'batch {config.batch_size} x {run.world_size}, '
        f'from {run.resumed or config.checkpoint_path or "new weights"}'
    )


def last_line(run):
    total = run.total_steps
    if run.batch < total:
        saved = '' if run.quitting else ' and saved; the same command goes on from there'
        return f'stopped after {run.batch} of {total} steps{saved}'
    if not run.is_main:
        return 'done'
    if not run.step:
        dynamic = 'dynamic:START' if run.config.dynamic_loss_scale else 'or dynamic'
        return (
            f'all {run.batch} steps were skipped (overflow), nothing was learned: give a smaller '
            f'--loss_scale, {dynamic}; weights of the start in {run.checkpointer.latest()}'
        )
    skipped = f', {run.batch - run.step} of them skipped' if run.step < run.batch else ''
    return f'done: {run.batch} steps{skipped}, weights in {run.checkpointer.latest()}'


def entry(run, n, values, seconds):
    """A line of metrics.jsonl: means over the loop's good steps (None in the file where there was
    none).
    """
    good = float(values['good_sum'])

    def mean(total):
        return float(total) / good if good else math.nan

    return {
        'step': run.step,
        'epoch': run.records / run.dataset.num_examples,
        'loss': mean(values['loss_sum']),
        'total_loss': mean(values['total_loss_sum']),
        'accuracy': mean(values['correct_sum']),
        'learning_rate': float(values['learning_rate']),
        'loss_scale': float(values['loss_scale']),
        'skipped_steps': int(values['skipped_steps']),
        'images_per_sec': n * run.config.batch_size * run.world_size / seconds,
        'time': time.time(),
    }
