"""show_batch.py on the digits; data scripts whose help needs no TensorFlow."""

import numpy as np
from PIL import Image
import pytest

import data
from data import contact_sheet
from mobilenet.errors import UsageError
from scripts import show_batch
from tests.helpers import slim_records


@pytest.fixture(scope='module')
def digits_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp('digits'))


def read_batch(digits_dir, *arguments):
    args = show_batch.make_parser().parse_args(
        ['--dataset_name', 'digits', '--image_size', '32', *map(str, arguments)]
    )
    return show_batch.read_batch(args, data.open_dataset('digits', digits_dir, args.split))


def test_a_batch_of_training_is_that_of_its_seed_and_step(digits_dir):
    images, labels, records = read_batch(
        digits_dir, '--seed', 3, '--batch_size', 6, '--start_batch', 2
    )
    again, _, _ = read_batch(digits_dir, '--seed', 3, '--batch_size', 6, '--start_batch', 2)
    _, _, of_another_seed = read_batch(
        digits_dir, '--seed', 4, '--batch_size', 6, '--start_batch', 2
    )
    _, _, from_the_start = read_batch(digits_dir, '--seed', 3, '--batch_size', 18)
    np.testing.assert_array_equal(images, again)
    assert records.tolist() == from_the_start[12:].tolist() != of_another_seed.tolist()
    dataset = data.open_dataset('digits', digits_dir)
    assert [dataset.read(record).label for record in records] == labels.tolist()


def test_show_batch_of_evaluation_shows_the_image_itself(digits_dir, tmp_path):
    """The last, partial batch, without preprocessing: the pixels are scikit-learn's own."""
    from sklearn.datasets import load_digits

    status, stdout, stderr = slim_records.script(
        'show_batch.py',
        '--dataset_name',
        'digits',
        '--dataset_dir',
        digits_dir,
        '--output',
        tmp_path / 'out.png',
        '--split',
        'validation',
        '--preprocessing_name',
        'none',
        '--image_size',
        8,
        '--batch_size',
        358,
        '--start_batch',
        1,
    )
    assert status == 0 and '1 images' in stdout and 'record 358' in stdout, stderr
    picture = np.asarray(Image.open(str(tmp_path / 'out.png')))
    assert picture.shape == (
        contact_sheet.TITLE + 96 + contact_sheet.LINE + contact_sheet.GAP,
        96 + 2 * contact_sheet.GAP,
        3,
    )
    drawn = picture[contact_sheet.TITLE :, contact_sheet.GAP :][:96:12, :96:12, 0]
    np.testing.assert_allclose(drawn, load_digits().images[4::5][358] * (255 / 16.0), atol=1.01)
    with pytest.raises(UsageError, match='12 batches'):
        read_batch(digits_dir, '--split', 'validation', '--start_batch', 12)


def test_show_batch_bad_use(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    for arguments, words in (
        (('--output', 'no/where.png', '--dataset_name', 'digits'), 'no such folder'),
        (('--dataset_dir', 'nowhere'), 'nowhere'),
        (('--image_size', '0'), '--image_size'),
        ((), '--dataset_dir'),
    ):
        status, _, stderr = slim_records.script('show_batch.py', *arguments)
        assert status == 2 and words in stderr and stderr.count('\n') == 1


@pytest.mark.parametrize('on_bad_record', ['stop', 'skip'])
def test_nothing_but_bad_images_is_told_without_advising_what_was_given(tmp_path, on_bad_record):
    for name in ('ant', 'bee'):
        (tmp_path / name).mkdir()
        for number in range(5):
            (tmp_path / name / f'{number}.jpg').write_bytes(b'')
    arguments = ['--dataset_name=folder', '--image_size=32', f'--on_bad_record={on_bad_record}']
    args = show_batch.make_parser().parse_args(arguments)
    with pytest.raises(UsageError) as raised:
        show_batch.read_batch(args, data.open_dataset('folder', str(tmp_path), 'train'))
    reason = {'stop': 'the file is empty', 'skip': 'the last of 100 records in a row'}
    assert reason[on_bad_record] in str(raised.value)
    assert ('--on_bad_record=skip' in str(raised.value)) == (on_bad_record == 'stop')


@pytest.mark.parametrize(
    'name',
    [
        'convert_folder.py',
        'convert_imagenet.py',
        'check_dataset.py',
        'show_batch.py',
        'fuzz_decoder.py',
    ],
)
def test_help_imports_no_tensorflow(tmp_path, name):
    (tmp_path / 'tensorflow.py').write_text('raise SystemExit("tensorflow was imported")')
    status, stdout, stderr = slim_records.script(
        name, '--help', environment={'PYTHONPATH': str(tmp_path)}
    )
    assert status == 0 and stdout.startswith('usage: ' + name), stderr
