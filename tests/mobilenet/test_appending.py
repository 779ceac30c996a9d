"""Records and events under a full disk (a limit on the size of files): whole or not at all."""

import argparse
import os
import resource

import pytest
import tensorflow as tf

from mobilenet import appending, log, metrics
from mobilenet.appending import Appender
from mobilenet.errors import UsageError
from mobilenet.events import EventWriter


class Limit:
    """Files of this process may have so many bytes."""

    def __init__(self, size):
        self._size = size

    def __enter__(self):
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._before[1]))

    def __exit__(self, *unused):
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused(tmp_path, make):
    """And not waited for: nobody reads that pipe."""
    path = str(tmp_path / 'lines')
    make(path)
    with pytest.raises(OSError):
        Appender(path)
    with pytest.raises(UsageError, match='lines cannot be written to: '):
        log.log_to(path)


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir])
def test_metrics_that_are_no_file_are_refused_before_anything_is_built(tmp_path, make):
    make(str(tmp_path / 'metrics.jsonl'))
    config = argparse.Namespace(train_dir=str(tmp_path))
    with pytest.raises(UsageError, match='metrics.jsonl cannot be written to: '):
        metrics.Metrics().before_graph(argparse.Namespace(is_main=True, config=config))


def test_what_did_not_fit_comes_when_there_is_room(tmp_path):
    path = str(tmp_path / 'lines')
    lines = Appender(path)
    with Limit(25):
        for number in range(5):
            lines.append(b'line %d...\n' % number)
            with open(path, 'rb') as f:
                assert f.read().endswith(b'\n')
        assert os.path.getsize(path) == 20
    lines.append(b'line 5...\n')
    lines.close()
    assert open(path).read() == ''.join(f'line {n}...\n' for n in range(6))


def test_a_file_that_was_moved_away_or_deleted_is_begun_anew(tmp_path):
    folder = tmp_path / 'run'
    folder.mkdir()
    lines = Appender(str(folder / 'lines'))
    lines.append(b'line 0\n')
    folder.rename(tmp_path / 'moved')
    lines.append(b'line 1\n')  # there is no folder yet
    folder.mkdir()
    lines.append(b'line 2\n')
    (folder / 'lines').unlink()
    lines.append(b'line 3\n')
    lines.close()
    assert (tmp_path / 'moved' / 'lines').read_text() == 'line 0\nline 1\n'
    assert (folder / 'lines').read_text() == 'line 3\n'


def test_too_much_to_wait_loses_the_oldest(tmp_path, monkeypatch):
    monkeypatch.setattr('mobilenet.appending.PENDING', 30)
    lines = Appender(str(tmp_path / 'lines'))
    with Limit(0):
        for number in range(9):
            lines.append(b'line %d...\n' % number)
    lines.close()
    assert open(str(tmp_path / 'lines')).read() == 'line 6...\nline 7...\nline 8...\n'


def scalar(value):
    return tf.Summary(value=[tf.Summary.Value(tag='loss', simple_value=value)])


def events(folder):
    names = sorted(n for n in os.listdir(str(folder)) if 'tfevents' in n)
    read = tf.compat.v1.train.summary_iterator
    return [e for n in names for e in read(os.path.join(str(folder), n))]


def test_tensorflow_reads_the_events(tmp_path):
    folder = tmp_path / os.fsdecode(b'[a] *')
    folder.mkdir()
    writer = EventWriter(str(folder), 1)
    with Limit(200):
        for step in range(1, 9):
            writer.add_summary(scalar(step), step)
    writer.close()
    found = events(folder)
    assert found[0].file_version == 'brain.Event:2'
    assert [(e.step, e.summary.value[0].simple_value) for e in found[2:]] == [
        (n, n) for n in range(1, 9)
    ]


def test_a_second_start_tells_tensorboard_what_is_run_again(tmp_path, monkeypatch):
    first = EventWriter(str(tmp_path), 1)
    for step in (1, 2, 3):
        first.add_summary(scalar(0), step)
    first.close()
    monkeypatch.setattr('time.time', lambda: 5.0)  # a clock that was set back
    second = EventWriter(str(tmp_path), 3)
    second.add_summary(scalar(1), 3)
    second.close()
    found = events(tmp_path)  # in the order in which TensorBoard reads
    starts = [n for n, e in enumerate(found) if e.HasField('session_log')]
    assert found[starts[1]].session_log.status == tf.SessionLog.START
    assert found[starts[1]].step == 3
    kept = [e for e in found[: starts[1]] if e.step < 3] + found[starts[1] :]
    assert [e.step for e in kept if e.HasField('summary')] == [1, 2, 3]


def test_metrics_are_cut_back_whatever_else_is_in_the_file(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    good = '{"step": %d, "skipped_steps": 1}\n'
    odd = [b'null\n', b'[1]\n', b'{"step": "x"}\n', b'\xff\x00\n', b'[' * 200000 + b'\n', b'\n']
    odd += [b'{"step": %s, "skipped_steps": 0}\n' % step for step in (b'1e999', b'true')]
    lines = [(good % n).encode() for n in (1, 2, 3, 4)]
    path.write_bytes(
        b''.join(line for pair in zip(odd, lines + odd) for line in pair) + b'{"step": 2, "ski'
    )
    appending.drop_lines_after(str(path), ('step', 'skipped_steps'), 4)
    assert path.read_text() == ''.join(good % n for n in (1, 2, 3))
    appending.drop_lines_after(str(tmp_path / 'none'), ['step'], 4)
