"""TensorBoard's event files, written without a thread that a full disk would end or hang."""

import os
import re
import socket
import time

import tensorflow as tf

from mobilenet import crc32c
from mobilenet.appending import Appender


class EventWriter:
    """Writes summaries into a new event file of a folder, which is made where it is not there.

    first_step: TensorBoard then forgets what an earlier start has written of steps from there on,
    which are now run again; None: it forgets nothing.
    """

    def __init__(self, folder, first_step=None):
        os.makedirs(folder, exist_ok=True)
        self._file = Appender(os.path.join(folder, _file_name(folder)))
        self._add(tf.Event(file_version='brain.Event:2'))
        if first_step is not None:
            again = tf.SessionLog(status=tf.SessionLog.START)
            self._add(tf.Event(session_log=again, step=first_step))

    def add_summary(self, summary, step):
        """summary: a tf.Summary."""
        self._add(tf.Event(summary=summary, step=step))

    def flush(self):
        self._file.flush()

    def close(self):
        self._file.close()

    def _add(self, event):
        event.wall_time = time.time()
        self._file.append(crc32c.frame(event.SerializeToString()))


def scalars(values):
    """The tf.Summary of {name: number}."""
    return tf.Summary(value=[tf.Summary.Value(tag=k, simple_value=v) for k, v in values.items()])


def _file_name(folder):
    """A name that sorts after those there: TensorBoard reads the files of a folder in that order,
    and a clock may have been set back.
    """
    times = [re.match(r'events\.out\.tfevents\.(\d+)', name) for name in os.listdir(folder)]
    newest = max([int(match.group(1)) for match in times if match], default=0)
    return f'events.out.tfevents.{max(int(time.time()), newest + 1)}.{socket.gethostname()}'
