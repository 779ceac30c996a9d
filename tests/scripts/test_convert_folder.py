"""The converters, on real image files, read back by TensorFlow's own TFRecord reader and parser."""

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
from PIL import Image
import pytest

from data import examples, images
from tests.helpers import slim_records
from tests.helpers.launches import is_running

SCRIPTS = os.path.join(slim_records.ROOT, 'scripts')


def picture(seed, height=24, width=31):
    """A smooth random uint8 RGB image: it survives JPEG."""
    small = np.random.RandomState(seed).randint(0, 256, (3, 4, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((width, height), Image.BICUBIC)


def save(path, image, **options):
    os.makedirs(os.path.dirname(str(path)), exist_ok=True)
    image.save(str(path), **options)


def of_folder(folder, split):
    return slim_records.read(str(folder), split)


def labels_of(found):
    return np.bincount([example['image/class/label'] for example in found]).tolist()


def convert_folder(*arguments):
    return slim_records.script('convert_folder.py', *arguments)


@pytest.fixture(scope='module')
def mixed(tmp_path_factory):
    """Odd counts, all kinds of files, an empty class, bad files. Returns (folder, conversion's
    (status, out, err), out).
    """
    src, out = tmp_path_factory.mktemp('src'), tmp_path_factory.mktemp('parent') / 'out'
    for index, suffix in enumerate(('jpg', 'png', 'bmp', 'gif', 'webp', 'tif', 'jpeg')):
        save(
            src / 'cat' / f'{index}.{suffix}',
            picture(index),
            **({'lossless': True} if suffix == 'webp' else {}),
        )
    save(src / 'cat' / 'cmyk.jpg', picture(20).convert('CMYK'))
    save(src / 'cat' / 'grey.jpg', picture(21).convert('L'))
    save(src / 'cat' / 'deeper' / 'a_png_named.JPEG', picture(22), format='PNG')
    for index in range(3):
        save(src / 'ängstlicher hund' / f'{index}.png', picture(30 + index))
    deep = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(deep).save(str(src / 'cat' / 'deep.tif'))
    (src / 'leer').mkdir()
    (src / 'cat' / '.hidden').write_text('not counted')
    (src / 'cat' / 'notes.txt').write_text('no image')
    (src / 'cat' / 'nothing.jpg').write_bytes(b'')
    whole = (src / 'cat' / '0.jpg').read_bytes()
    (src / 'cat' / 'torn.jpg').write_bytes(whole[: len(whole) * 2 // 3])
    (src / 'cat' / 'dangling.png').symlink_to(src / 'nowhere')
    done = convert_folder(src, out, '--train_shards', 3, '--validation_share', 0)
    return src, out, done


def test_folder_round_trip(mixed):
    src, out, (status, stdout, stderr) = mixed
    assert status == 0, stderr
    shards = [f'train-0000{i}-of-00003' for i in range(3)]
    assert sorted(os.listdir(str(out))) == ['labels.txt'] + shards
    assert (out / 'labels.txt').read_bytes() == '0:cat\n1:leer\n2:ängstlicher hund\n'.encode()
    assert 'class leer has no image' in stderr
    found = of_folder(out, 'train')
    assert labels_of(found) == [11, 0, 3]
    by_name = {}
    for example in found:
        by_name.setdefault(
            (example['image/class/label'], example['image/filename'].decode()), example
        )
        assert example['pixels'].shape == (example['image/height'], example['image/width'], 3)
    for name in ('0.jpg', '1.png', '6.jpeg', 'cmyk.jpg', 'grey.jpg'):
        assert by_name[0, name]['image/encoded'] == (src / 'cat' / name).read_bytes(), name
    for name in ('0.jpg', '1.png', '2.bmp', '3.gif', '4.webp', '5.tif', '6.jpeg'):
        with Image.open(str(src / 'cat' / name)) as image:
            expected = np.asarray(image.convert('RGB')).astype(int)
        difference = np.abs(by_name[0, name]['pixels'].astype(int) - expected).max()
        assert difference <= (3 if name.endswith(('jpg', 'jpeg')) else 0), name
    assert by_name[0, 'a_png_named.JPEG']['image/format'] == b'PNG'
    assert by_name[0, 'cmyk.jpg']['image/format'] == b'JPEG'
    assert by_name[0, 'deep.tif']['pixels'][:, :, 0].ravel().tolist() == list(range(256))
    assert [by_name[0, name]['image/channels'] for name in ('0.jpg', 'cmyk.jpg', 'grey.jpg')] == [
        3,
        4,
        1,
    ]
    assert by_name[2, '0.png']['image/class/text'].decode() == 'ängstlicher hund'


def test_folder_names_and_counts_bad_files(mixed):
    src, _, (_, stdout, stderr) = mixed
    for name in ('notes.txt', 'nothing.jpg', 'torn.jpg', 'dangling.png'):
        assert 'skipped %s: ' % (src / 'cat' / name) in stderr
    assert stderr.count('skipped ') == 4
    assert stdout.startswith('train: 14 images of 2 classes in 3 files')
    assert stdout.endswith('; 4 skipped\n')


def test_training_decides_what_can_be_decoded(tmp_path):
    """A JPEG whose end marker has a flipped bit: Pillow takes it, training's decoder does not."""
    for name in ('good.jpg', 'held_out.jpg'):
        save(tmp_path / 'src' / 'cat' / name, picture(1))
    damaged = bytearray((tmp_path / 'src' / 'cat' / 'good.jpg').read_bytes())
    damaged[-2] ^= 32
    assert images.encoded_image(bytes(damaged)).format == 'JPEG'
    (tmp_path / 'src' / 'cat' / 'damaged.jpg').write_bytes(damaged)
    status, stdout, stderr = convert_folder(tmp_path / 'src', tmp_path / 'out')
    assert status == 0 and 'damaged.jpg: training cannot decode it: ' in stderr, stderr
    assert [e['image/filename'] for e in of_folder(tmp_path / 'out', 'train')] == [b'good.jpg']


def test_folder_stops_at_a_bad_file_and_leaves_nothing(mixed, tmp_path):
    src, _, _ = mixed
    status, _, stderr = convert_folder(src, tmp_path / 'out', '--on_bad_image', 'stop')
    assert status == 2 and str(src / 'cat') in stderr.splitlines()[-1]
    assert os.listdir(str(tmp_path / 'out')) == []


def test_folder_shares_are_stratified_seeded_and_disjoint(tmp_path):
    for label, count in enumerate((20, 11, 1)):
        for index in range(count):
            save(
                tmp_path / 'src' / 'abc'[label] / f'{index:02d}.png',
                picture(100 * label + index, 8, 8),
            )
    files = {}
    for name, more in (('one', ()), ('same', ('--num_processes', 1)), ('other', ('--seed', 7))):
        status, _, stderr = convert_folder(
            tmp_path / 'src', tmp_path / name, '--validation_share', 0.2, *more
        )
        assert status == 0, stderr
        files[name] = [
            open(path, 'rb').read()
            for split in examples.SPLITS
            for path in slim_records.shards(str(tmp_path / name), split)
        ]
    assert files['one'] == files['same'] and files['one'] != files['other']
    train = of_folder(tmp_path / 'one', 'train')
    validation = of_folder(tmp_path / 'one', 'validation')
    assert labels_of(train) == [16, 9, 1] and labels_of(validation) == [4, 2]
    assert len({example['image/encoded'] for example in train + validation}) == 32
    assert [e['image/class/label'] for e in train] != sorted(e['image/class/label'] for e in train)


def test_folder_every_kth_and_ready_splits(tmp_path):
    for index in range(7):
        save(tmp_path / 'flat' / 'ab'[index > 3] / f'{index}.png', picture(index, 8, 8))
    assert convert_folder(tmp_path / 'flat', tmp_path / 'out', '--validation_every', 3)[0] == 0
    held_out = of_folder(tmp_path / 'out', 'validation')
    assert sorted(e['image/filename'] for e in held_out) == [b'2.png', b'5.png']
    os.rename(str(tmp_path / 'flat'), str(tmp_path / 'train'))
    save(tmp_path / 'ready' / 'val' / 'aa' / '9.png', picture(9, 8, 8))
    os.rename(str(tmp_path / 'train'), str(tmp_path / 'ready' / 'train'))
    status, stdout, _ = convert_folder(tmp_path / 'ready', tmp_path / 'out2')
    assert status == 0 and (tmp_path / 'out2' / 'labels.txt').read_text() == '0:a\n1:aa\n2:b\n'
    assert labels_of(of_folder(tmp_path / 'out2', 'train')) == [4, 0, 3]
    assert labels_of(of_folder(tmp_path / 'out2', 'validation')) == [0, 1]
    assert convert_folder(tmp_path / 'ready', tmp_path / 'out3', '--validation_share', 0.1)[0] == 2
    # Overwriting takes away what the earlier conversion left, the held-out files too.
    assert convert_folder(tmp_path / 'ready' / 'val', tmp_path / 'out2', '--overwrite')[0] == 0
    assert sorted(os.listdir(str(tmp_path / 'out2'))) == ['labels.txt', 'train-00000-of-00001']


@pytest.mark.parametrize(
    'arguments, words',
    [
        (('nowhere', 'out'), 'is no folder'),
        (('empty', 'out'), 'no class folders'),
        (('blank', 'out'), 'no image'),
        (('only_bad', 'out'), 'none of the 1 files'),
        (('one', 'out', '--train_shards', '2'), '2 shards are more than the 1'),
        (('one', 'full'), '--overwrite'),
        (('one', 'one'), 'one lies in one'),
        (('one', 'one/a/../tfrecords'), 'lies in one'),
        (('~/one', 'out'), 'write $HOME'),
        (('one',), 'required: out'),
        (('one', 'out', '--validation_share', '1.5'), '1.5'),
        (
            ('one', 'out', '--validation_share', '0.1', '--validation_every', '2'),
            'not allowed with',
        ),
    ],
)
def test_folder_bad_use(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(str(tmp_path))
    save(tmp_path / 'one' / 'a' / 'x.png', picture(1))
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'blank' / 'a').mkdir(parents=True)
    (tmp_path / 'only_bad' / 'a').mkdir(parents=True)
    (tmp_path / 'only_bad' / 'a' / 'x.png').write_bytes(b'x')
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'train-00000-of-00001').write_bytes(b'')
    status, _, stderr = convert_folder(*arguments)
    assert status == 2 and words in stderr.splitlines()[-1] and 'Traceback' not in stderr


def test_one_image(tmp_path):
    save(tmp_path / 'src' / 'a' / 'x.png', picture(1, 1, 1))
    assert convert_folder(tmp_path / 'src', tmp_path / 'out')[0] == 0
    assert [example['pixels'].shape for example in of_folder(tmp_path / 'out', 'train')] == [
        (1, 1, 3)
    ]


def children_of(pid):
    found = subprocess.run(['ps', '--ppid', str(pid), '-o', 'pid='], stdout=subprocess.PIPE).stdout
    return [int(word) for word in found.split()]


@pytest.mark.parametrize('signal_number', [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_conversion_leaves_no_process_and_no_half_of_a_data_set(tmp_path, signal_number):
    save(tmp_path / 'src' / 'a' / '0.png', picture(1, 250, 250))
    for index in range(1, 200):
        os.link(str(tmp_path / 'src' / 'a' / '0.png'), str(tmp_path / 'src' / 'a' / f'{index}.png'))
    command = [sys.executable, os.path.join(SCRIPTS, 'convert_folder.py'), str(tmp_path / 'src')]
    command += [str(tmp_path / 'out'), '--train_shards', '20', '--validation_share', '0']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.time() + 300
    while not (tmp_path / 'out' / '.partial-train' / 'train-00001-of-00020').exists():
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.02)
    workers = children_of(process.pid)
    process.send_signal(signal_number)
    _, stderr = process.communicate(timeout=300)
    if signal_number == signal.SIGTERM:
        assert process.returncode == 1 and b'stopped; the same command goes on' in stderr
    while any(map(is_running, workers)):
        assert time.time() < deadline
        time.sleep(0.05)
    out = tmp_path / 'out'
    assert workers and all(name.startswith('.partial') for name in os.listdir(str(out)))
    torn = out / '.partial-train' / 'train-00019-of-00020'  # not said to be done
    torn.write_bytes(b'half')
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and ' of 20 files are there already' in again.stderr
    command[3] = str(tmp_path / 'undisturbed')
    assert subprocess.run(command, capture_output=True).returncode == 0
    names = sorted(os.listdir(command[3]))
    assert sorted(os.listdir(str(out))) == names and len(names) == 21
    for name in names:
        assert (out / name).read_bytes() == (tmp_path / 'undisturbed' / name).read_bytes()


def test_wire_format_of_odd_values():
    import tensorflow as tf

    data = examples.image_example(
        b'x' * 300, 'PNG', 2**31, 0, 3, -1, 'b\udcff.png', boxes=[(0.25, 0, 1, 0.5)] * 2
    )
    feature = tf.train.Example.FromString(data).features.feature
    assert feature['image/class/label'].int64_list.value[0] == -1
    assert feature['image/height'].int64_list.value[0] == 2**31
    assert feature['image/width'].int64_list.value[:] == [0]
    assert feature['image/encoded'].bytes_list.value[0] == b'x' * 300
    assert feature['image/filename'].bytes_list.value[0] == b'b\xff.png'
    assert feature['image/object/bbox/xmin'].float_list.value[:] == [0.25, 0.25]
    assert feature['image/object/bbox/label'].int64_list.value[:] == [-1, -1]
    assert 'image/class/synset' not in feature


def test_what_is_no_image():
    out = io.BytesIO()
    Image.fromarray(np.ones((4, 4), np.float32)).save(out, 'TIFF')
    for data, words in (
        (out.getvalue(), '32-bit'),
        (b'\xff\xd8\xff\xe0', ''),
        (images.PNG_SIGNATURE, ''),
        (b'GIF89a', ''),
    ):
        with pytest.raises(images.NotAnImage, match=words):
            images.encoded_image(data)
