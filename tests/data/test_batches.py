"""Batches: the same bits however they are cut into parts, one call of Python, bounded memory."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

import data
from data import batches, memory
from tests.data.test_pipeline import run
from tests.helpers import ROOT
from tests.helpers.data_files import encode, example, jpeg, noise, write_numbered, write_shards


@pytest.fixture(scope='module')
def numbered(tmp_path_factory):
    folder = tmp_path_factory.mktemp('numbered')
    for split in ('train', 'validation'):
        write_numbered(folder, split, [20, 17])
    return str(folder)


def pipeline(folder, batch_size, **options):
    return data.TrainPipeline(
        data.open_dataset('imagenet', folder), batch_size, 16, 'inception_v2', **options
    )


@pytest.mark.parametrize('batch_size', [1, 2, 7, 16, 17, 31, 37])
@pytest.mark.parametrize('normalize_on', ['host', 'device'])
def test_images_read_by_themselves_have_the_same_bits(
    numbered, monkeypatch, batch_size, normalize_on
):
    usual = run(pipeline(numbered, batch_size, normalize_on=normalize_on).dataset, 3)
    shown = pipeline(numbered, batch_size, normalize_on=normalize_on).show(1)
    monkeypatch.setattr(batches, 'CHUNK_BYTES', 1200)  # more than some files have, less than two
    large = run(pipeline(numbered, batch_size, normalize_on=normalize_on).dataset, 3)
    skipping = pipeline(numbered, batch_size, normalize_on=normalize_on, on_bad_record='skip')
    skipped = run(skipping.dataset, 3)
    for images, labels in (large, skipped):
        assert all((a == b).all() for a, b in zip(images, usual[0]))
        assert all((a == b).all() for a, b in zip(labels, usual[1]))
    assert (shown[0] == usual[0][1]).all() and (shown[1] == usual[1][1]).all()


@pytest.mark.parametrize('batch_size', [1, 5, 7, 13, 17, 37, 64])
def test_evaluation_counts_each_image_once(numbered, batch_size):
    dataset = data.open_dataset('imagenet', numbered, 'validation')
    images, labels, weights = run(data.EvalPipeline(dataset, batch_size, 16, 'none').dataset)
    assert {len(part) for part in images} == {batch_size}
    labels, weights = np.concatenate(labels), np.concatenate(weights)
    assert labels[weights > 0].tolist() == list(range(37)) and weights.sum() == 37


@pytest.mark.parametrize('batch_size', [1, 13, 64, 127])
def test_python_is_called_once_for_a_batch_whose_parts_are_for_all_threads(numbered, batch_size):
    one = pipeline(numbered, batch_size, num_threads=5)
    parts, threads, fill = [], set(), one.batches._fill

    def noted(positions, *arrays):
        parts.append(positions)
        threads.add(threading.current_thread().name)
        fill(positions, *arrays)

    one.batches._fill = noted
    graph = tf.Graph()
    with graph.as_default():
        images, _, _ = one.batches._batch(tf.constant(1, tf.int64))
        assert [op.type for op in graph.get_operations()].count('PyFunc') == 1
        with tf.Session() as session:
            assert session.run(images).shape == (batch_size, 16, 16, 3)
    assert sorted(sum(parts, [])) == list(range(batch_size, 2 * batch_size))
    assert max(map(len, parts)) <= 16 and len(parts) == -(-batch_size // 16)
    assert threading.current_thread().name not in threads


@pytest.mark.parametrize('shape', [[3, 5, 7], [16, 224, 224, 3]])
@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_arrays_for_tensorflow_begin_where_its_tensors_do(shape, dtype):
    arrays = [memory.aligned_empty(shape, dtype) for _ in range(5)]
    assert all(array.ctypes.data % 64 == 0 for array in arrays)
    assert {(array.shape, array.dtype) for array in arrays} == {(tuple(shape), np.dtype(dtype))}
    assert all(array.flags.c_contiguous and array.flags.writeable for array in arrays)


def test_a_record_that_cannot_be_decoded_is_named(tmp_path):
    shards = [[example(jpeg(noise(30, 40, i)), i) for i in range(20)]]
    shards[0][13] = example(encode(noise(30, 40, 13), 'PNG')[:-40], 13)
    write_shards(tmp_path, 'train', shards)
    with pytest.raises(tf.errors.OpError, match=r'train-00000-of-00001, record 13: '):
        run(pipeline(str(tmp_path), 20).dataset, 1)


def test_a_budget_is_never_exceeded_and_lets_everyone_through():
    budget, used, most = memory.Budget(100), [0], [0]
    lock = threading.Lock()

    def work(count):
        for _ in range(20):
            with budget.hold(count):
                with lock:
                    used[0] += min(count, 100)
                    most[0] = max(most[0], used[0])
                time.sleep(0.0005)
                with lock:
                    used[0] -= min(count, 100)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 30, 40, 60, 100, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert used[0] == 0 and 40 < most[0] <= 100


PEAK = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from mobilenet import devices
tf = devices.import_tensorflow()
import data
dataset = data.open_dataset('folder', sys.argv[2])
pipeline = data.TrainPipeline(dataset, 1, 32, 'none', num_threads=8, normalize_on='device')
iterator = tf.data.make_initializable_iterator(pipeline.dataset())
step = tf.group(*iterator.get_next())
with tf.Session() as session:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    session.run(iterator.initializer)
    session.run(step)
    session.run(step)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    'size,kind,most', [((6000, 6000), 'PNG', 600), ((4000, 3000), 'JPEG', 400)]
)
def test_memory_of_decoding_is_bounded_over_all_threads(tmp_path, size, kind, most):
    """Nine threads, images of 108 MB, or of 36 MB, when they are decoded."""
    first = tmp_path / 'a' / '0'
    first.parent.mkdir()
    first.write_bytes(encode(Image.new('RGB', size, (200, 90, 40)), kind))
    for i in range(1, 25):
        os.link(str(first), str(tmp_path / 'a' / str(i)))
    done = subprocess.run(
        [sys.executable, '-c', PEAK, ROOT, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < most
