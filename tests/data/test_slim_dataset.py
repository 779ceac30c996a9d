"""What is said of TFRecords and labels.txt that are not as TF-slim writes them."""

import gzip
import os
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
import tensorflow as tf

import data
from data import example_proto, slim_dataset, tfrecord
from mobilenet.errors import UsageError
from tests.helpers.data_files import example, jpeg, noise, write_shards

IMAGE = jpeg(noise(8, 8, 0))


def refusal(folder, **options):
    with pytest.raises(UsageError) as error:
        data.open_dataset('imagenet', str(folder), **options)
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    'content,expected',
    [
        (b'0:a\n1:b\n', ['a', 'b']),
        (b'\xef\xbb\xbf0:a\r\n1:b', ['a', 'b']),  # Notepad
        ('0:é\n1:b\n'.encode('utf-16'), ['é', 'b']),
        (b'1:a\r2:b\r', ['background', 'a', 'b']),
        (b'0:caf\xe9\n1:b:c\n', ['caf\udce9', 'b:c']),
    ],
)
def test_labels_files(tmp_path, content, expected):
    path = tmp_path / 'labels.txt'
    path.write_bytes(content)
    assert slim_dataset.read_labels_file(str(path)) == expected


@pytest.mark.parametrize(
    'content,words',
    [
        ('²:two\n', "line 1: expected .* found '²:two'"),
        ('0:a\n٣:three', 'line 2'),
        ('0:a\n\nb\n', "line 3: expected .* found 'b'"),
        ('0:a\n0:b\n', 'line 2'),
        ('-1:a\n', 'line 1'),
        ('1_0:a\n', 'line 1'),
        ('9:a\n', 'names 1 classes but its largest label is 9'),
        ('99999999999999999999:a\n', 'line 1'),
        (' \n\n', 'is empty'),
        ('0:a\0\n', 'not a text file'),
    ],
)
def test_labels_files_that_are_wrong(tmp_path, content, words):
    path = tmp_path / 'labels.txt'
    path.write_text(content, encoding='utf-8')
    with pytest.raises(UsageError, match=words):
        slim_dataset.read_labels_file(str(path))


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(st.from_regex(r'[0-9²]{0,3}:?\w{0,3}'), max_size=5).map(
            lambda lines: '\n'.join(lines).encode('utf-8', 'surrogatepass')
        ),
    )
)
def test_any_labels_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / 'labels-hypothesis.txt'
    path.write_bytes(content)
    try:
        names = slim_dataset.read_labels_file(str(path))
    except UsageError as error:
        assert str(path) in str(error)
        return
    assert names and all(isinstance(name, str) for name in names)


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 255))
def test_any_record_is_parsed_or_refused(content, place, byte):
    """Any bytes, and whole Examples with one byte changed."""
    whole = bytearray(example(b'x' * 20, 3, [(0, 0, 1, 1)]))
    whole[place % len(whole)] = byte
    for record in (content, bytes(whole)):
        try:
            parsed = example_proto.parse(record, 10)
        except ValueError as error:
            assert str(error)
            continue
        assert 0 <= parsed.label < 10 and parsed.encoded and parsed.boxes.shape[1] == 4


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=100), st.integers(0, 10**6), st.integers(0, 255))
def test_any_tfrecord_file_is_scanned(tmp_path_factory, content, place, byte):
    path = tmp_path_factory.getbasetemp() / 'scan-hypothesis'
    whole = bytearray(tfrecord.frame(content) + tfrecord.frame(b'second'))
    whole[place % len(whole)] = byte
    for data_of_file in (content, bytes(whole)):
        path.write_bytes(data_of_file)
        offsets, lengths, error = tfrecord.scan(str(path))
        assert len(offsets) == len(lengths) and (len(offsets) == 2 or error is not None)


@pytest.mark.parametrize(
    'change,words',
    [
        (gzip.compress, 'compressed by gzip'),
        (zlib.compress, 'compressed by zlib'),
        (lambda content: b'PK\x03\x04' + content, 'a zip archive'),
        (lambda content: b'version https://git-lfs.github.com/spec/v1\n', 'Git LFS'),
        (lambda content: b'<!DOCTYPE html>' + content, 'a web page'),
        (lambda content: b'\0' * 50 + content, 'damaged, or no TFRecord file'),
    ],
)
def test_files_of_another_kind_are_named(tmp_path, change, words):
    write_shards(tmp_path, 'train', [[example(IMAGE, 1)]])
    path = tmp_path / 'train-00000-of-00001'
    path.write_bytes(change(path.read_bytes()))
    assert words in refusal(tmp_path)
    assert words in refusal(tmp_path, on_bad_record='skip')


@pytest.mark.parametrize(
    'name,words',
    [
        ('flowers_train_00000-of-00005.tfrecord', 'as train-00000-of-00005, and the others'),
        ('imagenet2012-train.tfrecord-00012-of-01024', 'as train-00012-of-01024, and the others'),
        ('Train-00000-of-00002', 'as train-00000-of-00002'),
        ('train_0_of_2.tfrecord', 'as train-00000-of-00002'),
        ('training-00000-of-00002', 'as train-00000-of-00002'),
        ('train.tfrecords', 'as train-00000-of-00128, and the others'),
        ('validation-00000-of-00002', 'has validation files, but no train-00000-of-00128'),
        ('train-00000-of-00002.gz', 'is compressed: unpack it to train-00000-of-00002'),
        ('other.bin', 'no files train-00000-of-00128'),
    ],
)
def test_file_names_of_others(tmp_path, name, words):
    (tmp_path / name).write_bytes(b'x')
    assert words in refusal(tmp_path)


@pytest.mark.parametrize(
    'feature,words',
    [
        ({'bytes_list': tf.train.BytesList(value=[b'3'])}, 'is stored as bytes_list'),
        ({'float_list': tf.train.FloatList(value=[3.0])}, 'is stored as float_list'),
        ({'int64_list': tf.train.Int64List(value=[3, 4])}, 'has 2 values'),
    ],
)
def test_a_label_of_another_type(tmp_path, feature, words):
    message = tf.train.Example.FromString(example(IMAGE, 1))
    message.features.feature['image/class/label'].CopyFrom(tf.train.Feature(**feature))
    write_shards(tmp_path, 'train', [[message.SerializeToString()]])
    assert 'record 0: image/class/label ' + words in refusal(tmp_path)


def test_a_record_with_other_keys(tmp_path):
    features = {'label': tf.train.Feature(), 'image_raw': tf.train.Feature()}
    message = tf.train.Example(features=tf.train.Features(feature=features))
    write_shards(tmp_path, 'train', [[message.SerializeToString()]])
    assert 'no image/encoded: the record holds image_raw, label' in refusal(tmp_path)
    write_shards(tmp_path, 'train', [[tf.train.Example().SerializeToString()]])
    assert 'no image/encoded: the record holds nothing' in refusal(tmp_path)


@pytest.mark.parametrize('extra', ['train-00002-of-00002', 'train-1-of-2', 'train-00007-of-2'])
def test_a_file_too_many(tmp_path, extra):
    write_shards(tmp_path, 'train', [[example(IMAGE, 1)]] * 2)
    (tmp_path / extra).write_bytes((tmp_path / 'train-00000-of-00002').read_bytes())
    said = refusal(tmp_path)
    assert '3 train files, and their names say 2: ' in said and 'is one too many' in said
    assert extra in said or extra == 'train-1-of-2'


def test_a_pipe_in_place_of_a_shard(tmp_path):
    os.mkfifo(str(tmp_path / 'train-00000-of-00001'))
    assert 'a pipe (FIFO), not a file' in refusal(tmp_path)


def test_summary_says_where_held_out_images_are(tmp_path):
    write_shards(tmp_path, 'train', [[example(IMAGE, 1)]], ['a', 'b'])
    assert '2 classes, 1 images in 1 train files, none held out' in summary(tmp_path)
    write_shards(tmp_path, 'validation', [[example(IMAGE, 1)]] * 2)
    assert '2 validation files held out' in summary(tmp_path)


def summary(folder):
    return data.open_dataset('imagenet', str(folder)).summary


def test_fingerprint_is_of_names_sizes_and_counts(tmp_path):
    write_shards(tmp_path, 'train', [[example(IMAGE, 1)], [example(IMAGE, 0)] * 3], ['a', 'b'])

    def fingerprint():
        return data.fingerprint(data.open_dataset('imagenet', str(tmp_path)))

    first = fingerprint()
    assert first['records'] == 4 and first['files'] == 2 and first['class_names'] == ['a', 'b']
    assert fingerprint() == first
    write_shards(tmp_path, 'train', [[example(IMAGE, 1)] * 3, [example(IMAGE, 0)]], ['b', 'a'])
    second = fingerprint()
    assert second['records'] == 4 and second['digest'] != first['digest']
    assert second['class_names'] == ['b', 'a']
