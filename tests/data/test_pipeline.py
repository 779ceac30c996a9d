"""The pipelines: exact whatever the threads, ranks and start, and right in what they show."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import data
from data import preprocess

N = 7 + 5 + 11  # records of `folder`, see conftest.py


def run(dataset, batches=None):
    """All batches, or so many, as lists of arrays by component."""
    found = []
    with tf.Graph().as_default():
        iterator = tf.data.make_initializable_iterator(dataset())
        following = iterator.get_next()
        with tf.Session() as session:
            session.run(iterator.initializer)
            while batches is None or len(found) < batches:
                try:
                    found.append(session.run(following))
                except tf.errors.OutOfRangeError:
                    break
    return [list(component) for component in zip(*found)]


def train(folder, batches, start=0, batch_size=6, size=24, **options):
    pipeline = data.TrainPipeline(
        data.open_dataset('imagenet', folder, 'train'),
        batch_size,
        size,
        options.pop('name', 'inception_v2'),
        **options,
    )
    images, labels = run(lambda: pipeline.dataset(start), batches)
    return np.concatenate(images), np.concatenate(labels)


@pytest.mark.parametrize('on_bad_record', ['stop', 'skip'])
def test_same_bits_for_any_number_of_threads(folder, on_bad_record):
    (images, labels), *others = [
        train(folder, 9, num_threads=threads, on_bad_record=on_bad_record) for threads in (1, 2, 8)
    ]
    assert images.shape == (54, 24, 24, 3) and images.dtype == np.float32
    assert -1 <= images.min() < -0.5 and 0.5 < images.max() <= 1
    for other_images, other_labels in others:
        assert (other_images == images).all() and (other_labels == labels).all()


def test_the_stream_is_the_same_for_any_batch_size(folder):
    images, labels = train(folder, 7, batch_size=12)
    for batch_size in (6, 7):
        others, other_labels = train(folder, 84 // batch_size, batch_size=batch_size)
        assert (others == images).all() and (other_labels == labels).all()


def test_stop_and_skip_show_the_same_where_nothing_is_bad(folder):
    assert (train(folder, 5)[0] == train(folder, 5, on_bad_record='skip')[0]).all()


def test_resuming_within_an_epoch_reads_nothing_before(folder, monkeypatch):
    whole = train(folder, 9)
    read = []
    real = data.slim_dataset.TFRecordDataset.read
    dataset = data.open_dataset('imagenet', folder, 'train')
    monkeypatch.setattr(
        data.slim_dataset.TFRecordDataset,
        'read',
        lambda self, record: read.append(record) or real(self, record),
    )
    pipeline = data.TrainPipeline(dataset, 6, 24, 'inception_v2')
    for start in (1, 5):
        del read[:]
        images, labels = run(functools.partial(pipeline.dataset, start), 3)
        assert (np.concatenate(images) == whole[0][start * 6 : (start + 3) * 6]).all()
        assert (np.concatenate(labels) == whole[1][start * 6 : (start + 3) * 6]).all()
        ahead = [pipeline.order(p)[1] for p in range(start * 6, start * 6 + len(read))]
        assert sorted(read) == sorted(ahead)  # from the first of batch `start` on, without a gap


@pytest.mark.parametrize('world_size', [1, 2, 3, 8])
def test_every_record_once_an_epoch_over_ranks(folder, world_size):
    batches = 2 * N // (4 * world_size) + 1
    labels = [
        train(folder, batches, batch_size=4, rank=rank, world_size=world_size)[1]
        for rank in range(world_size)
    ]
    stream = np.array(labels).reshape([world_size, batches, 4]).transpose([1, 0, 2]).ravel()
    assert sorted(stream[:N]) == sorted(stream[N : 2 * N]) == list(range(N))
    assert (stream[:N] != stream[N : 2 * N]).any()


def by_showing(folder, world_size, epochs=3):
    """{(epoch, record): image} of the stream over ranks."""
    shown = {}
    for rank in range(world_size):
        batches = epochs * N // (5 * world_size) + 1
        pipeline = data.TrainPipeline(
            data.open_dataset('imagenet', folder, 'train'),
            5,
            24,
            'inception_v2',
            seed=4,
            rank=rank,
            world_size=world_size,
        )
        images, _ = run(pipeline.dataset, batches)
        for batch in range(batches):
            for position, image in zip(pipeline.positions(batch), images[batch]):
                shown[pipeline.order(position)] = image
    return shown


def test_augmentation_is_a_function_of_seed_epoch_and_record(folder):
    one, three = by_showing(folder, 1), by_showing(folder, 3)
    assert len(set(one) & set(three)) >= 3 * N
    for showing in set(one) & set(three):
        assert (one[showing] == three[showing]).all()
    for record in range(N):
        assert (one[0, record] != one[1, record]).any() and (one[1, record] != one[2, record]).any()
    other_seed = train(folder, 3, seed=1)
    assert (train(folder, 3, seed=2)[0] != other_seed[0]).any()


def test_without_augmentation_the_files_order_and_evaluations_images(folder):
    images, labels = train(folder, 8, augment=False)
    assert labels[: N + 5].tolist() == list(range(N)) + list(range(5))
    evaluated, _, _ = run(evaluation(folder).dataset)
    assert (images[:N] == np.concatenate(evaluated)[:N]).all()


def evaluation(folder, batch_size=6, size=24, name='inception_v2', **options):
    return data.EvalPipeline(
        data.open_dataset('imagenet', folder, 'validation'), batch_size, size, name, **options
    )


def test_evaluation_counts_every_image_once(folder):
    pipeline = evaluation(folder)
    images, labels, weights = run(pipeline.dataset)
    assert len(images) == pipeline.num_batches == 4
    assert all(image.shape == (6, 24, 24, 3) for image in images)
    labels, weights = np.concatenate(labels), np.concatenate(weights)
    assert labels[weights > 0].tolist() == list(range(N))
    assert weights.tolist() == [1] * N + [0]


def reference_evaluation(encoded, size):
    """Slim's preprocess_for_eval, in TensorFlow's own ops."""
    image = tf.image.convert_image_dtype(tf.image.decode_jpeg(encoded, channels=3), tf.float32)
    image = tf.image.central_crop(image, 0.875)
    image = tf.image.resize_bilinear(image[None], [size, size])[0]
    return image * 2.0 - 1.0


def test_evaluation_is_slims(folder):
    dataset = data.open_dataset('imagenet', folder, 'validation')
    images = np.concatenate(run(evaluation(folder).dataset)[0])
    with tf.Graph().as_default(), tf.Session() as session:
        encoded = tf.placeholder(tf.string, [])
        expected = reference_evaluation(encoded, 24)
        for record in range(N):
            difference = np.abs(
                images[record] - session.run(expected, {encoded: dataset.read(record).encoded})
            )
            # A crop's edge lacks the neighbours that libjpeg smooths chroma with.
            assert np.median(difference) < 1e-5 and difference.mean() < 0.01


@pytest.mark.parametrize('name', data.PREPROCESSING_NAMES)
def test_uint8_images_are_normalized_to_the_same_to_half_a_step(folder, name):
    host, _ = train(folder, 3, name=name)
    device, _ = train(folder, 3, name=name, normalize_on='device')
    assert device.dtype == np.uint8
    with tf.Graph().as_default(), tf.Session() as session:
        normalized = session.run(preprocess.normalize(tf.constant(device)))
        passed = preprocess.normalize(tf.constant(host))
        assert (session.run(passed) == host).all()
    assert np.abs(normalized - host).max() <= 1 / 255.0 + 1e-6
    assert np.abs(normalized - host).mean() > 1e-4  # it was rounded at all


def test_preprocessing_none_shows_the_whole_image(folder):
    images, labels = train(folder, 4, name='none', size=8)
    again, labels_again = train(folder, 4, start=4, name='none', size=8)
    first = dict(zip(labels, images))
    assert all(
        (first[label] == image).all() for label, image in zip(labels_again, again) if label in first
    )
    assert len(set(labels) & set(labels_again)) > 15


def test_shapes_are_static(folder):
    with tf.Graph().as_default():
        for dataset in (
            data.open_dataset('imagenet', folder, 'train'),
            data.open_dataset('synthetic'),
        ):
            trained = data.TrainPipeline(dataset, 6, 24, 'inception_v2').dataset(2)
            assert [s.as_list() for s in trained.output_shapes] == [[6, 24, 24, 3], [6]]
            assert trained.output_types == (tf.float32, tf.int32)
            evaluated = data.EvalPipeline(dataset, 6, 24, 'vgg', normalize_on='device').dataset()
            assert [s.as_list() for s in evaluated.output_shapes] == [[6, 24, 24, 3], [6], [6]]
            assert evaluated.output_types == (tf.uint8, tf.int32, tf.float32)


def test_synthetic_reads_nothing_and_repeats():
    pipeline = data.TrainPipeline(data.open_dataset('synthetic'), 4, 16, 'inception_v2')
    images, labels = run(lambda: pipeline.dataset(2), 3)
    again, labels_again = run(lambda: pipeline.dataset(3), 2)
    assert (np.array(images[1:]) == np.array(again)).all()
    assert (np.array(labels[1:]) == np.array(labels_again)).all()
    assert np.array(labels).min() >= 1 and len(set(np.array(labels).ravel())) == 12
    pipeline = data.EvalPipeline(data.open_dataset('synthetic', None, 'validation'), 3, 16, 'none')
    assert pipeline.num_batches == 16667 and pipeline.find_bad_record(0, 2) is None
    assert run(lambda: pipeline._batches(16666, 16667))[2][0].tolist() == [1, 1, 0]


def test_other_ranks_go_on_at_the_next_record():
    """Batches 0 to 4 of two ranks, then on with three, then with one: every position once."""
    dataset = data.open_dataset('synthetic')
    taken, batch = [], 0
    for world_size in (2, 3, 1):
        shift = len(taken) - batch * 8 * world_size
        for rank in range(world_size):
            pipeline = data.TrainPipeline(dataset, 8, 32, 'none', rank=rank, world_size=world_size)
            pipeline.shift = shift
            for number in range(batch, batch + 5):
                taken += pipeline.positions(number).tolist()
        batch += 5
    assert sorted(taken) == list(range(6 * 5 * 8))
