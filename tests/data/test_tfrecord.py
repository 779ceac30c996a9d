"""TFRecord framing against TensorFlow's own reader and writer, and damaged files."""

import os

import pytest
import tensorflow as tf

from data import tfrecord
from mobilenet import text
from tests.helpers.data_files import write_shards

RECORDS = [b'', b'a', b'some bytes' * 1000, bytes(range(256))]


def write(path, records=RECORDS):
    with tfrecord.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def damage(path, position, value):
    with open(path, 'r+b') as file:
        file.seek(position)
        file.write(value)


def test_tensorflow_reads_what_we_write(tmp_path):
    path = write(tmp_path / 'x')
    assert list(tf.python_io.tf_record_iterator(path)) == RECORDS


def test_we_read_what_tensorflow_writes(tmp_path):
    path = str(tmp_path / 'x')
    with tf.python_io.TFRecordWriter(path) as writer:
        for record in RECORDS:
            writer.write(record)
    files = tfrecord.RecordFiles([path])
    assert [files.read(i) for i in (3, 1, 0, 2)] == [RECORDS[i] for i in (3, 1, 0, 2)]
    assert not files.errors


def test_records_of_many_files_with_few_open(tmp_path, monkeypatch):
    monkeypatch.setattr(tfrecord, 'MAX_OPEN_FILES', 2)
    paths = [write(tmp_path / str(i), [b'%d.%d' % (i, j) for j in range(i)]) for i in range(1, 9)]
    before = len(os.listdir('/proc/self/fd'))
    files = tfrecord.RecordFiles(paths)
    assert len(files) == sum(range(1, 9))
    for i in reversed(range(len(files))):
        path, number = files.locate(i)
        assert files.read(i) == b'%d.%d' % (paths.index(path) + 1, number)
    assert len(os.listdir('/proc/self/fd')) <= before + 3


def test_index_is_cached_until_a_file_changes(tmp_path, monkeypatch):
    path, scanned = write(tmp_path / 'x'), []
    real_scan = tfrecord.scan
    monkeypatch.setattr(tfrecord, 'scan', lambda p: scanned.append(p) or real_scan(p))
    for _ in range(3):
        assert len(tfrecord.RecordFiles([path])) == len(RECORDS)
    assert scanned == [path]
    write(path, RECORDS + [b'one more'])
    assert tfrecord.RecordFiles([path]).read(len(RECORDS)) == b'one more'
    for name in os.listdir(text.cache_dir('index')):  # a torn cache file is no index
        with open(os.path.join(text.cache_dir('index'), name), 'wb') as file:
            file.write(b'PK')
    assert len(tfrecord.RecordFiles([path])) == len(RECORDS) + 1


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        with tfrecord.TFRecordWriter(str(tmp_path / 'x')) as writer:
            writer.write(b'abc')
            raise KeyError
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize(
    'cut, number, words',
    [(0, 0, 'empty'), (5, 0, 'header'), (40, 2, 'truncated'), (-1, 3, '1 bytes after')],
)
def test_truncated_files(tmp_path, cut, number, words):
    path = write(tmp_path / 'x')
    os.truncate(path, cut if cut >= 0 else os.path.getsize(path) + cut)
    files = tfrecord.RecordFiles([write(tmp_path / 'good'), path])
    (error,) = files.errors
    assert error.place == f'{path}, record {number}' and words in error.reason
    assert len(files) == len(RECORDS) + number  # what lies before the damage is kept
    assert [files.read(len(RECORDS) + i) for i in range(number)] == RECORDS[:number]


def test_damaged_length_and_damaged_data(tmp_path):
    path = write(tmp_path / 'x')
    damage(path, 16 + 12, b'b')  # the data of record 1
    files = tfrecord.RecordFiles([path])
    with pytest.raises(tfrecord.BadRecord, match='x, record 1: wrong checksum of the data'):
        files.read(1)
    assert files.read(2) == RECORDS[2]
    damage(path, 16 + 17, b'\x07')  # the length of record 2
    (error,) = tfrecord.RecordFiles([path]).errors
    assert error.place.endswith('x, record 2') and 'length' in error.reason


def test_a_file_that_shrinks_or_goes_away_while_in_use(tmp_path):
    paths = [write(tmp_path / 'x'), write(tmp_path / 'y')]
    files = tfrecord.RecordFiles(paths)
    os.truncate(paths[0], 100)
    os.remove(paths[1])
    with pytest.raises(tfrecord.BadRecord, match='x, record 2: the file became shorter'):
        files.read(2)
    with pytest.raises(tfrecord.BadRecord, match='y, record 0: No such file'):
        files.read(len(RECORDS))


def test_shards_have_to_be_complete(tmp_path):
    from data.slim_dataset import shard_paths
    from mobilenet.errors import UsageError

    with pytest.raises(UsageError, match='no files train-00000-of'):
        shard_paths(str(tmp_path), 'train')
    write_shards(tmp_path, 'train', [[b'x']] * 3)
    assert len(shard_paths(str(tmp_path), 'train')) == 3
    os.remove(str(tmp_path / 'train-00001-of-00003'))
    with pytest.raises(UsageError, match='1 of the 3 train files.*train-00001-of-00003'):
        shard_paths(str(tmp_path), 'train')
    write_shards(tmp_path, 'train', [[b'x']] * 2)
    with pytest.raises(UsageError, match='several data sets'):
        shard_paths(str(tmp_path), 'train')
