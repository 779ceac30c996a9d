"""Data sets as they are opened: folders of images, what is wrong in one line, no TensorFlow."""

import collections
import os
import subprocess
import sys

import numpy as np
import pytest

import data
from mobilenet.errors import UsageError
from tests.data.test_pipeline import run
from tests.helpers import ROOT
from tests.helpers.data_files import encode, noise


@pytest.fixture(scope='module')
def images_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('images')
    for c, class_name in enumerate(('ant', 'bee', 'cat')):
        os.makedirs(str(root / class_name))
        for i in range(4 + c):
            image_format = ('JPEG', 'PNG', 'GIF', 'BMP')[i % 4]
            path = str(root / class_name / (f'{i}.{image_format.lower()}'))
            with open(path, 'wb') as file:
                file.write(encode(noise(20, 30, 10 * c + i), image_format))
    return str(root)


def test_folder_of_images_of_any_kind(images_folder):
    held_out = data.open_dataset('folder', images_folder, 'validation')
    dataset = data.open_dataset('folder', images_folder, 'train')
    assert (dataset.num_examples, held_out.num_examples) == (12, 3)
    assert dataset.class_names == ['ant', 'bee', 'cat'] and dataset.num_classes == 3
    paths = [d.describe(i) for d in (dataset, held_out) for i in range(d.num_examples)]
    assert len(set(paths)) == 15
    images, labels = run(data.TrainPipeline(dataset, 4, 16, 'none').dataset, 3)
    assert collections.Counter(np.concatenate(labels)) == collections.Counter(
        ['ant', 'bee', 'cat'].index(path.split('/')[-2]) for path in paths[:12]
    )
    assert np.isfinite(images).all()


def test_wrong_use_is_one_line(tmp_path, folder):
    cases = [
        (('imagenet', None), '--dataset_dir'),
        (('imagenet', str(tmp_path / 'no')), 'no such folder'),
        (('imagenet', str(tmp_path)), 'no files train-00000'),
        (('folder', str(tmp_path)), 'class folders'),
        (('imagenet', folder, 'test'), 'no split'),
        (('cifar', folder), 'no data set'),
    ]
    for arguments, words in cases:
        with pytest.raises(UsageError) as error:
            data.open_dataset(*arguments)
        assert words in str(error.value) and '\n' not in str(error.value)


def test_opening_a_data_set_needs_no_tensorflow(folder):
    code = (
        'import sys, data; d = data.open_dataset("imagenet", sys.argv[1], "train"); '
        'assert d.num_examples == 23 and data.PREPROCESSING_NAMES; '
        'assert "tensorflow" not in sys.modules and "numba" not in sys.modules'
    )
    subprocess.run(
        [sys.executable, '-c', code, folder], check=True, env=dict(os.environ, PYTHONPATH=ROOT)
    )
