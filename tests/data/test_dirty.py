"""Data as it is: odd images work, bad records stop the run by name or are skipped and counted."""

import os
import re

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

import data
from data import tfrecord
from mobilenet import input_errors
from mobilenet.errors import UsageError
from tests.data.test_pipeline import run
from tests.helpers.data_files import encode, example, jpeg, noise, write_shards

COLOUR = (200, 90, 40)


def plain(height, width, mode='RGB', colour=COLOUR):
    return Image.new('RGB', (width, height), colour).convert(mode)


def sixteen_bit_png():
    return encode(Image.fromarray(np.full([20, 20], 40000, np.uint16)), 'PNG')


GREY = (117, 117, 117)  # 0.299, 0.587 and 0.114 of COLOUR
ODD_IMAGES = {
    'PNG named JPEG': (encode(plain(30, 40), 'PNG'), COLOUR),
    'PNG with alpha': (encode(plain(30, 40, 'RGBA'), 'PNG'), COLOUR),
    'PNG with palette': (encode(plain(30, 40).quantize(4), 'PNG'), COLOUR),
    'PNG of 16 bits': (sixteen_bit_png(), (156, 156, 156)),
    'interlaced, 1 bit': (encode(plain(9, 9, '1', (255, 255, 255)), 'PNG'), (255, 255, 255)),
    'CMYK JPEG': (encode(plain(30, 40, 'CMYK'), 'JPEG', quality=95), COLOUR),
    'grey JPEG': (encode(plain(30, 40, 'L'), 'JPEG'), GREY),
    'grey PNG': (encode(plain(30, 40, 'LA'), 'PNG'), GREY),
    'progressive JPEG': (jpeg(plain(300, 200), progressive=True), COLOUR),
    '4:2:0 JPEG': (jpeg(plain(31, 33), subsampling=2), COLOUR),
    'one pixel': (jpeg(plain(1, 1)), COLOUR),
    'one line': (jpeg(plain(1, 700)), COLOUR),
    'one column': (encode(plain(700, 1), 'PNG'), COLOUR),
    'huge': (jpeg(plain(4000, 6000)), COLOUR),
    'GIF': (encode(plain(30, 40).quantize(4), 'GIF'), COLOUR),
    'BMP': (encode(plain(30, 40), 'BMP'), COLOUR),
    'WebP': (encode(plain(30, 40), 'WEBP', lossless=True), COLOUR),
}


def write_odd(folder, split):
    write_shards(
        folder,
        split,
        [[example(encoded, i) for i, (encoded, _) in enumerate(ODD_IMAGES.values())]],
        ['c'] * len(ODD_IMAGES),
    )


@pytest.mark.parametrize('name', data.PREPROCESSING_NAMES)
def test_odd_images_have_their_colour_in_evaluation(tmp_path, name):
    write_odd(tmp_path, 'validation')
    dataset = data.open_dataset('imagenet', str(tmp_path), 'validation')
    images, labels, _ = run(data.EvalPipeline(dataset, len(ODD_IMAGES), 16, name).dataset)
    assert labels[0].tolist() == list(range(len(ODD_IMAGES)))
    for (kind, (_, colour)), image in zip(ODD_IMAGES.items(), images[0]):
        pixels = (image + 1) * 127.5
        assert np.abs(pixels - colour).max() <= 4, kind


@pytest.mark.parametrize('name', data.PREPROCESSING_NAMES)
def test_odd_images_train(tmp_path, name):
    write_odd(tmp_path, 'train')
    dataset = data.open_dataset('imagenet', str(tmp_path), 'train')
    images, labels = run(data.TrainPipeline(dataset, len(ODD_IMAGES), 16, name).dataset, 3)
    for image, label in zip(images, labels):
        assert sorted(label) == list(range(len(ODD_IMAGES)))
        assert np.isfinite(image).all() and np.abs(image).max() <= 1


GOOD = [jpeg(noise(40, 50, i)) for i in range(12)]
SIZE = b'\x00\x28\x00\x32'  # 40 x 50, in a JPEG's frame header
TRUNCATED = GOOD[3][: len(GOOD[3]) // 2]
# Record 5 of 12 is bad: what is said of it, and whether that shows when it is read or only when it
# is decoded.
BAD_RECORDS = {
    'half a JPEG': (example(TRUNCATED, 5), 'Invalid JPEG data'),
    'half a PNG': (example(encode(noise(40, 50, 1), 'PNG')[:900], 5), 'Invalid PNG data'),
    'a JPEG without a frame': (example(b'\xff\xd8\xff\xd9' + b'x' * 50, 5), 'frame header'),
    'no pixels': (example(GOOD[0].replace(SIZE, b'\x00\x00\x00\x32', 1), 5), 'without pixels'),
    'absurd size': (example(GOOD[0].replace(SIZE, b'\xff\xff\xff\xff', 1), 5), '65535 x 65535'),
    'text': (example(b'<html>not found</html>', 5), 'not an image'),
    'nothing': (example(b'', 5), 'image/encoded'),
    'label 12': (example(GOOD[5], 12), 'label 12 is out of range: the data set has 12 classes'),
    'label -1': (example(GOOD[5], -1), 'label -1'),
    'no Example': (b'\xff' * 40, 'not a tf.train.Example'),
    'another Example': (
        tf.train.Example().SerializeToString(),
        'no image/encoded: the record holds nothing',
    ),
}


def write_with_bad(folder, split, bad):
    records = [example(encoded, i) for i, encoded in enumerate(GOOD)]
    records[5] = bad
    write_shards(folder, split, [records[:4], records[4:]], [f'class {i}' for i in range(12)])
    return '{}, record 1'.format(os.path.join(str(folder), f'{split}-00001-of-00002'))


def stopped(pipeline, batches):
    """Runs into the bad record, and returns what find_bad_record says of it."""
    with pytest.raises(tf.errors.OpError):
        run(pipeline.dataset, batches)
    return pipeline.find_bad_record(0, batches)


@pytest.mark.parametrize('kind', BAD_RECORDS)
def test_stop_names_the_record(tmp_path, kind, monkeypatch):
    bad, words = BAD_RECORDS[kind]
    for split in ('train', 'validation'):
        place = write_with_bad(tmp_path, split, bad)
        try:
            dataset = data.open_dataset('imagenet', str(tmp_path), split)
        except UsageError as error:  # so small a set is read through when it is opened
            assert place in str(error) and words in str(error) and '\n' not in str(error)
            monkeypatch.setattr(data.slim_dataset, 'LABELS_CHECKED', 1)  # a large one is not
            dataset = data.open_dataset('imagenet', str(tmp_path), split)
        pipeline = (
            data.TrainPipeline(dataset, 4, 16, 'none')
            if split == 'train'
            else data.EvalPipeline(dataset, 5, 16, 'inception_v2')
        )
        found_place, reason = stopped(pipeline, 3)
        assert found_place == place and words in reason and '\n' not in reason


@pytest.mark.parametrize('kind', BAD_RECORDS)
def test_skip_puts_the_next_in_its_place_and_counts(tmp_path, kind):
    bad, words = BAD_RECORDS[kind]
    place = write_with_bad(tmp_path, 'train', bad)
    dataset = data.open_dataset('imagenet', str(tmp_path), 'train', 'skip')
    streams = []
    for threads in (1, 4):
        pipeline = data.TrainPipeline(
            dataset, 4, 16, 'none', on_bad_record='skip', num_threads=threads
        )
        images, labels = run(pipeline.dataset, 6)
        streams.append(np.concatenate(images))
        assert list(pipeline.bad_records) == [place] and words in pipeline.bad_records[place]
    assert (streams[0] == streams[1]).all()
    labels = np.concatenate(labels)
    order = [pipeline.order(p)[1] for p in range(25)]
    for epoch in range(2):
        position = order.index(5, 12 * epoch)
        assert labels[position] == order[position + 1]
        assert sorted(np.delete(labels[12 * epoch : 12 * epoch + 12], position - 12 * epoch)) == [
            label for label in range(12) if label != 5
        ]


@pytest.mark.parametrize('kind', BAD_RECORDS)
def test_skip_in_evaluation_leaves_the_record_out(tmp_path, kind):
    bad, words = BAD_RECORDS[kind]
    place = write_with_bad(tmp_path, 'validation', bad)
    dataset = data.open_dataset('imagenet', str(tmp_path), 'validation', 'skip')
    pipeline = data.EvalPipeline(dataset, 5, 16, 'inception_v2', on_bad_record='skip')
    _, labels, weights = (np.concatenate(c) for c in run(pipeline.dataset))
    assert labels[weights > 0].tolist() == [label for label in range(12) if label != 5]
    assert len(weights) == 15 and list(pipeline.bad_records) == [place]


def test_wrong_checksum_in_both_modes(tmp_path):
    place = write_with_bad(tmp_path, 'train', example(GOOD[5], 5))
    path = place.split(',')[0]
    offsets, _, _ = tfrecord.scan(path)
    with open(path, 'r+b') as file:
        file.seek(int(offsets[2]) - 50)
        file.write(b'!!')
    with pytest.raises(UsageError, match='of-00002, record 1: wrong checksum of the data'):
        data.open_dataset('imagenet', str(tmp_path), 'train')
    dataset = data.open_dataset('imagenet', str(tmp_path), 'train', 'skip')
    pipeline = data.TrainPipeline(dataset, 4, 16, 'none', on_bad_record='skip')
    run(pipeline.dataset, 3)
    assert list(pipeline.bad_records) == [place]


def test_truncated_file_and_empty_shard_in_both_modes(tmp_path):
    records = [example(encoded, i) for i, encoded in enumerate(GOOD)]
    write_shards(tmp_path, 'train', [records[:8], records[8:], []])
    truncated = str(tmp_path / 'train-00001-of-00003')
    os.truncate(truncated, os.path.getsize(truncated) - 7)
    with pytest.raises(UsageError, match='train-00001-of-00003, record 3: the file is truncated'):
        data.open_dataset('imagenet', str(tmp_path), 'train')
    dataset = data.open_dataset('imagenet', str(tmp_path), 'train', 'skip')
    assert dataset.num_examples == 11 and len(dataset.errors) == 2
    assert [error.place.split('/')[-1] for error in dataset.errors] == [
        'train-00001-of-00003, record 3',
        'train-00002-of-00003, record 0',
    ]
    pipeline = data.TrainPipeline(dataset, 4, 16, 'none', on_bad_record='skip')
    assert len(run(pipeline.dataset, 6)[0]) == 6
    assert len(pipeline.bad_records) == 2  # what the index left out is counted too


def test_nothing_but_bad_records_ends_even_with_skip(tmp_path):
    write_shards(tmp_path, 'train', [[example(TRUNCATED, 1)] * 3])
    dataset = data.open_dataset('imagenet', str(tmp_path), 'train', 'skip')
    pipeline = data.TrainPipeline(dataset, 2, 16, 'none', on_bad_record='skip')
    with pytest.raises(tf.errors.OpError, match='100 records in a row') as raised:
        run(pipeline.dataset, 2)
    ended = str(input_errors.explained(raised.value, pipeline, 0, 2))
    assert re.search(r'train-00000-of-00001, record [0-2]: the last of 100 records in a row', ended)
    assert '--on_bad_record' not in ended and 'scripts/check_dataset.py' in ended


def test_a_bad_image_file_of_a_folder(tmp_path):
    for class_name in ('ant', 'bee'):
        os.makedirs(str(tmp_path / class_name))
        for i in range(5):
            (tmp_path / class_name / f'{i}.jpg').write_bytes(GOOD[i])
    bad = tmp_path / 'bee' / '2.jpg'
    bad.write_bytes(b'')
    dataset = data.open_dataset('folder', str(tmp_path), 'train')
    place, reason = stopped(data.TrainPipeline(dataset, 4, 16, 'none'), 2)
    assert (place, reason) == (str(bad), 'the file is empty')
    pipeline = data.TrainPipeline(dataset, 4, 16, 'none', on_bad_record='skip')
    run(pipeline.dataset, 4)
    assert dict(pipeline.bad_records) == {str(bad): 'the file is empty'}


def test_labels_out_of_range_show_at_opening(tmp_path):
    write_shards(tmp_path, 'train', [[example(GOOD[0], 1), example(GOOD[1], 1001)]])
    with pytest.raises(UsageError, match='record 1: label 1001 is out of range.*1001 classes'):
        data.open_dataset('imagenet', str(tmp_path), 'train')
