"""JPEGs by TensorFlow's decoder called as a function, against its op."""

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

import data
from data import batches, jpeg, preprocess
from data.reader import Example
from tests.data.test_pipeline import run
from tests.helpers import data_files
from tests.helpers.data_files import encode, example, noise, write_shards

OPTIONS = {
    'usual': ('RGB', {}),
    '4:4:4': ('RGB', {'subsampling': 0}),
    '4:2:2': ('RGB', {'subsampling': 1}),
    'progressive': ('RGB', {'progressive': True}),
    'grey': ('L', {}),
    'CMYK': ('CMYK', {}),
}


@pytest.fixture(scope='module')
def op():
    """(encoded, window) -> pixels, by TensorFlow's op."""
    with tf.Graph().as_default() as graph:
        encoded, window = tf.placeholder(tf.string, []), tf.placeholder(tf.int32, [4])
        pixels = tf.image.decode_and_crop_jpeg(encoded, window, channels=3, fancy_upscaling=True)
    with tf.Session(graph=graph) as session:
        yield lambda *feeds: session.run(pixels, dict(zip((encoded, window), feeds)))


def shown(encoded, window, flip=False, colour=(0, 1, 0)):
    return Example(encoded, np.array(window, np.int32), flip, np.float32(colour), 0, 1, 0)


def encoded(kind, height, width):
    mode, options = OPTIONS[kind]
    return data_files.jpeg(Image.fromarray(noise(height, width, height)).convert(mode), **options)


def windows(height, width):
    """The whole, and some at each border and within."""
    small = max(height // 3, 1), max(width // 2, 1)
    rows, columns = {0, 1, height - small[0]}, {0, 1, width - small[1]}
    inner = [(y, x, *small) for y in rows for x in columns]
    ends = [(y, x, 1, 1) for y in (0, height - 1) for x in (0, width - 1)]
    inside = [w for w in inner + ends if 0 <= w[0] <= height - w[2] and 0 <= w[1] <= width - w[3]]
    return [(0, 0, height, width), *inside]


@pytest.mark.parametrize('kind', list(OPTIONS))
@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_pixels_are_those_of_the_op(op, kind, dtype):
    for height, width in ((1, 1), (7, 9), (16, 33), (47, 61), (130, 97)):
        image = encoded(kind, height, width)
        examples = [
            shown(image, window, i % 2 == 1, (0.1, 1.4 - 0.1 * (i % 7), i % 3 > 0))
            for i, window in enumerate(windows(height, width))
        ]
        for recoloured in (False, True):
            ours = np.zeros([len(examples), 24, 24, 3], dtype)
            assert jpeg.finish(examples, recoloured, ours) == [True] * len(examples)
            theirs = np.zeros_like(ours)
            for one, out in zip(examples, theirs):
                pixels, colour = op(image, one.window), one.colour if recoloured else None
                assert pixels.shape == (*one.window[2:], 3)
                preprocess.finish(pixels, one.window, one.flip, colour, out)
            np.testing.assert_array_equal(ours, theirs)


def test_a_square_window_that_is_not_resized_is_what_the_decoder_gave(op):
    image = encoded('usual', 70, 90)
    for window in ((0, 0, 40, 40), (30, 50, 40, 40), (13, 27, 40, 40)):
        ours = np.zeros([1, 40, 40, 3], np.uint8)
        assert jpeg.finish([shown(image, window)], False, ours) == [True]
        np.testing.assert_array_equal(ours[0], op(image, window))


def test_what_is_damaged_or_no_jpeg_is_left_alone(op):
    good = encoded('usual', 60, 50)
    whole = (0, 0, 60, 50)
    bad = [
        (good[: len(good) // 2], whole),
        (good[:20], whole),
        (good[:3], whole),
        (good[:2] + b'\xff\xd9', whole),
        (good, (0, 0, 61, 50)),
        (good, (0, 1, 60, 50)),
        (good, (-1, 0, 60, 50)),
        (good, (0, 0, 0, 50)),
    ]
    examples = [shown(*pair) for pair in bad]
    examples.insert(3, shown(good, whole))
    examples.append(shown(encode(noise(60, 50, 1), 'PNG'), whole))
    images = np.full([len(examples), 8, 8, 3], 77, np.uint8)
    assert jpeg.finish(examples, True, images) == [i == 3 for i in range(len(examples))]
    assert (np.delete(images, 3, axis=0) == 77).all() and (images[3] != 77).any()
    for pair in bad:
        with pytest.raises(tf.errors.InvalidArgumentError):
            op(*pair)


def test_a_large_image_is_left_to_the_op_whose_lack_of_memory_is_an_error():
    one = shown(encoded('usual', 20, 30), (0, 0, 20, 30))
    examples = [one._replace(pixels=jpeg.MOST_PIXELS + i) for i in (1, 0)]
    assert jpeg.finish(examples, True, np.zeros([2, 8, 8, 3], np.uint8)) == [False, True]


def test_no_memory_is_kept():
    """400 times 3 MB of pixels, decoded and refused."""
    good = data_files.jpeg(noise(1000, 1000, 0))
    examples = [shown(data, (0, 0, 1000, 1000)) for data in (good, good[:-300])]
    images = np.zeros([2, 8, 8, 3], np.uint8)

    def resident():
        with open('/proc/self/statm') as file:
            return int(file.read().split()[1]) * 4096

    for _ in range(10):
        assert jpeg.finish(examples, False, images) == [True, False]
    before = resident()
    for _ in range(200):
        jpeg.finish(examples, False, images)
    assert resident() - before < 100e6


@pytest.mark.parametrize(
    'name,value', [('UNCOMPRESS', 'no_such_function'), ('DELETE', 'nor_this'), ('VERSION', '2.4.1')]
)
@pytest.mark.parametrize('small', [0, batches.SMALL_PIXELS])
@pytest.mark.parametrize('on_bad_record', ['stop', 'skip'])
def test_a_tensorflow_without_the_function_gives_the_same_batches(
    tmp_path, monkeypatch, request, name, value, small, on_bad_record
):
    images = [encoded(kind, 50 + i, 60) for i, kind in enumerate(list(OPTIONS) * 3)]
    images += [encode(noise(40, 50, 1), 'PNG')]
    images += [images[0][:900]] * (on_bad_record == 'skip')
    write_shards(tmp_path, 'train', [[example(image, i) for i, image in enumerate(images)]])

    def some_batches():
        dataset = data.open_dataset('imagenet', str(tmp_path))
        options = {'on_bad_record': on_bad_record}
        pipeline = data.TrainPipeline(dataset, 20, 16, 'inception_v2', **options)
        return run(pipeline.dataset, 3), dict(pipeline.bad_records)

    usual = some_batches()
    assert jpeg.functions() is not None
    if name == 'VERSION':
        monkeypatch.setattr(tf, '__version__', value)
    else:
        monkeypatch.setattr(jpeg, name, value)
    monkeypatch.setattr(batches, 'SMALL_PIXELS', small)
    jpeg.functions.cache_clear()
    request.addfinalizer(jpeg.functions.cache_clear)
    plain = some_batches()
    assert jpeg.functions() is None
    assert len(usual[1]) == len(plain[1]) == (on_bad_record == 'skip') and usual[1] == plain[1]
    for ours, theirs in zip(usual[0], plain[0]):
        np.testing.assert_array_equal(ours, theirs)
