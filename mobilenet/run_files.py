"""The files that a run writes as it goes (metrics.jsonl, train.log, TensorBoard events) and the bar."""

import hashlib
import json
import logging
import math
import os
import sys
import time

import tensorflow as tf
from tqdm import tqdm


def log_to(path, name='mobilenet'):
    """A logger that appends to a file."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(message)s'))
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    return logger


def drop_lines_after(path, batches):
    """Cuts metrics.jsonl back to the checkpoint a run resumes from: lines of lost steps would stand there twice."""
    if not os.path.exists(path):
        return
    kept = []
    with open(path) as f:
        for line in f:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # half a line, from a kill
            if entry['step'] + entry['skipped_steps'] <= batches:
                kept.append(line if line.endswith('\n') else line + '\n')
    with open(path + '.tmp', 'w') as f:
        f.writelines(kept)
    os.replace(path + '.tmp', path)


def digest(values):
    """sha256 of {name: array}, as hex: equal where every bit is, whatever the order of the dict."""
    whole = hashlib.sha256()
    for name, value in sorted(values.items()):
        whole.update(f'{name} {value.dtype} {value.shape};'.encode())
        whole.update(value.tobytes())
    return whole.hexdigest()


def finite_or_none(value):
    return value if math.isfinite(value) else None


class Reporter:
    """Rank 0's bar, metrics.jsonl, train.log lines and TensorBoard scalars; other ranks only write their log.

    Args:
      train_dir, rank; logger; total: batches of the whole run; log_every: steps from one log line to the next; quiet: no bar
        and no lines of steps on the terminal.
    """

    def __init__(self, train_dir, rank, logger, total, log_every, resumed_at, quiet=False):
        self._logger, self._total, self._log_every = logger, total, log_every
        self._last_logged, self._started_at = resumed_at, time.time()
        self._first = resumed_at
        self.main = rank == 0
        self._terminal = self.main and not quiet and sys.stderr.isatty()
        self._lines = self.main and not quiet and not self._terminal
        self._bar = tqdm(
            total=total,
            initial=resumed_at,
            unit='step',
            dynamic_ncols=True,
            disable=not self._terminal,
        )
        if self.main:
            path = os.path.join(train_dir, 'metrics.jsonl')
            drop_lines_after(path, resumed_at)
            self._metrics = open(path, 'a')
            self.events = tf.summary.FileWriter(train_dir)

    def say(self, text):
        """A line for the person (rank 0) and the log."""
        self._logger.info(text)
        if self.main:
            with tqdm.external_write_mode():
                print(text, file=sys.stderr, flush=True)

    def loop(self, entry, batches):
        """Reports one loop. `entry` is a line of metrics.jsonl; batches: taken so far, skipped ones included."""
        if self.main:
            self._metrics.write(
                json.dumps(
                    {k: finite_or_none(v) if isinstance(v, float) else v for k, v in entry.items()}
                )
                + '\n'
            )
            self._metrics.flush()
            self.events.add_summary(
                tf.Summary(
                    value=[
                        tf.Summary.Value(tag=k, simple_value=v)
                        for k, v in entry.items()
                        if k not in ('step', 'time')
                    ]
                ),
                entry['step'],
            )
            self.events.flush()
        self._bar.set_postfix_str(
            'epoch {epoch:.2f} loss {loss:.4f} acc {accuracy:.3f} lr {learning_rate:.3g} scale {loss_scale:g} '
            '{images_per_sec:.0f} img/s'.format(**entry),
            refresh=False,
        )
        self._bar.update(batches - self._bar.n)
        if batches - self._last_logged >= self._log_every or batches >= self._total:
            self._last_logged = batches
            self._log(entry, batches)

    def _log(self, entry, batches):
        spent = time.time() - self._started_at
        left = spent / max(batches - self._first, 1) * (self._total - batches)
        line = (
            'step {step} of {total}  epoch {epoch:.2f}  loss {loss:.4f}  total_loss {total_loss:.4f}  accuracy {accuracy:.4f}  '
            'learning_rate {learning_rate:.6g}  loss_scale {loss_scale:g}  skipped {skipped_steps}  '
            '{images_per_sec:.1f} images/s  {left} left'
        ).format(total=self._total, left=tqdm.format_interval(left), **entry)
        self._logger.info(line)
        if self._lines:
            print(line, file=sys.stderr, flush=True)

    def images(self, step, images, labels):
        """The images that go in at a step, as TensorBoard images. images: float32 [n, h, w, 3] in [-1, 1]."""
        with tf.Graph().as_default(), tf.Session() as sess:
            pixels = tf.cast(tf.clip_by_value((images + 1.0) * 127.5, 0, 255), tf.uint8)
            encoded = sess.run([tf.image.encode_png(p) for p in tf.unstack(pixels)])
        self.events.add_summary(
            tf.Summary(
                value=[
                    tf.Summary.Value(
                        tag=f'images/{i:02d}_label_{label}',
                        image=tf.Summary.Image(
                            height=images.shape[1],
                            width=images.shape[2],
                            colorspace=3,
                            encoded_image_string=png,
                        ),
                    )
                    for i, (png, label) in enumerate(zip(encoded, labels))
                ]
            ),
            step,
        )
        self.events.flush()

    def close(self):
        self._bar.close()
        if self.main:
            self._metrics.close()
            self.events.close()
