"""convert_imagenet.py on a small ImageNet in the layout of the official archives."""

import os

import numpy as np
from PIL import Image
import pytest

from tests.helpers import slim_records

SYNSETS = ['n01440764', 'n01443537', 'n02084071']
NAMES = ['tench, Tinca tinca', 'goldfish', 'dog']
VALIDATION = [2, 0, 1, 2, 0]  # places in SYNSETS


def picture(seed):
    small = np.random.RandomState(seed).randint(0, 256, (3, 4, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((20, 16), Image.BICUBIC)


def convert(*arguments, cwd):
    return slim_records.script('convert_imagenet.py', *arguments, cwd=str(cwd))


@pytest.fixture(scope='module')
def archives(tmp_path_factory):
    root = tmp_path_factory.mktemp('imagenet')
    for label, synset in enumerate(SYNSETS):
        (root / 'train' / synset).mkdir(parents=True)
        for index in range(4 + label):
            picture(10 * label + index).save(
                str(root / 'train' / synset / f'{synset}_{index}.JPEG')
            )
    # The known oddities.
    picture(50).save(str(root / 'train' / SYNSETS[0] / 'n01440764_99.JPEG'), format='PNG')
    picture(51).convert('CMYK').save(str(root / 'train' / SYNSETS[1] / 'n01443537_99.JPEG'))
    (root / 'train' / SYNSETS[1] / 'n01443537_13.JPEG').write_bytes(b'damaged')
    (root / 'val').mkdir()
    for index in range(5):
        picture(70 + index).save(str(root / 'val' / f'ILSVRC2012_val_{index + 1:08d}.JPEG'))
    (root / 'val_synsets.txt').write_text(''.join(SYNSETS[i] + '\n' for i in VALIDATION))
    # Numbers as of a meta.mat, whose order is not the sorted one.
    (root / 'order.txt').write_text('\n'.join([SYNSETS[2], SYNSETS[0], SYNSETS[1]]) + '\n')
    (root / 'val_numbers.txt').write_text(''.join(f'{[2, 3, 1][i]}\n' for i in VALIDATION))
    (root / 'names.txt').write_text(
        'n01440764\ttench, Tinca tinca\nn01443537 goldfish\nn02084071 dog\nn09999999 other\n'
    )
    (root / 'boxes.csv').write_text(
        'n01440764_0.JPEG,0.1,0.2,0.5,1.25\nn01440764_0.JPEG,0.0,0.0,1.0,1.0\n'
        'n01440764_0.JPEG,0.5,0.5,0.5,0.6\nILSVRC2012_val_00000002.JPEG,0.25,0.25,0.75,0.75\n'
    )
    return root


COMMON = (
    '--names',
    'names.txt',
    '--bounding_boxes',
    'boxes.csv',
    '--train_shards',
    4,
    '--validation_shards',
    2,
)


def test_both_splits(archives):
    status, stdout, stderr = convert(
        'both',
        '--train_dir',
        'train',
        '--validation_dir',
        'val',
        '--validation_labels',
        'val_synsets.txt',
        *COMMON,
        cwd=archives,
    )
    assert status == 0, stderr
    shards = [f'train-{i:05d}-of-00004' for i in range(4)]
    shards += [f'validation-{i:05d}-of-00002' for i in range(2)]
    assert sorted(os.listdir(str(archives / 'both'))) == ['labels.txt'] + shards
    labels = (archives / 'both' / 'labels.txt').read_text()
    assert labels == '0:background\n1:tench, Tinca tinca\n2:goldfish\n3:dog\n'
    assert 'skipped ' + os.path.join('train', SYNSETS[1], 'n01443537_13.JPEG') in stderr
    assert 'boxes.csv: 1 boxes without an area left out' in stderr
    found = {
        e['image/filename'].decode(): e for e in slim_records.read(str(archives / 'both'), 'train')
    }
    assert len(found) == 4 + 5 + 6 + 2
    for name, example in found.items():
        synset = name.split('_')[0]
        assert example['image/class/synset'].decode() == synset
        assert example['image/class/label'] == SYNSETS.index(synset) + 1
        assert example['image/class/text'].decode() == NAMES[SYNSETS.index(synset)]
        assert example['image/encoded'] == (archives / 'train' / synset / name).read_bytes()
        assert example['pixels'].shape == (16, 20, 3)
    first = found['n01440764_0.JPEG']
    np.testing.assert_array_equal(first['image/object/bbox/xmin'], np.float32([0.1, 0]))
    np.testing.assert_array_equal(first['image/object/bbox/ymax'], np.float32([1, 1]))
    np.testing.assert_array_equal(first['image/object/bbox/label'], [1, 1])
    assert found['n01440764_1.JPEG']['image/object/bbox/xmin'].size == 0
    validation = {
        e['image/filename'].decode(): e
        for e in slim_records.read(str(archives / 'both'), 'validation')
    }
    assert [validation[name]['image/class/label'] - 1 for name in sorted(validation)] == VALIDATION
    assert validation['ILSVRC2012_val_00000002.JPEG']['image/object/bbox/ymin'].tolist() == [0.25]


def test_validation_alone_by_numbers_equals_by_synsets(archives):
    for out, labels in (
        ('by_numbers', ('val_numbers.txt', '--synset_order', 'order.txt')),
        ('by_synsets', ('val_synsets.txt',)),
    ):
        status, _, stderr = convert(
            out,
            '--validation_dir',
            'val',
            '--synsets',
            'order.txt',
            '--validation_labels',
            *(labels + COMMON),
            cwd=archives,
        )
        assert status == 0, stderr
    for name in sorted(os.listdir(str(archives / 'by_synsets'))):
        expected = (archives / 'by_synsets' / name).read_bytes()
        assert (archives / 'by_numbers' / name).read_bytes() == expected
    labels = {
        e['image/filename']: e['image/class/label'] - 1
        for e in slim_records.read(str(archives / 'by_numbers'), 'validation')
    }
    assert [labels[name] for name in sorted(labels)] == VALIDATION


@pytest.mark.parametrize(
    'arguments, words',
    [
        (('out',), 'nothing to convert'),
        (('out', '--train_dir', 'nowhere'), 'is no folder'),
        (('out', '--train_dir', 'val'), 'no synset folders'),
        (('out', '--train_dir', 'train'), '1024 shards are more than'),
        (
            ('out', '--validation_dir', 'val', '--validation_labels', 'val_synsets.txt'),
            'needs --synsets',
        ),
        (('out', '--train_dir', 'train', '--validation_dir', 'val'), '--validation_labels'),
        (
            (
                'out',
                '--train_dir',
                'train',
                '--validation_dir',
                'val',
                '--validation_labels',
                'val_numbers.txt',
            ),
            '--synset_order',
        ),
        (
            (
                'out',
                '--train_dir',
                'train',
                '--validation_dir',
                'val',
                '--validation_labels',
                'order.txt',
            ),
            '5 images, order.txt has 3 labels',
        ),
        (
            (
                'out',
                '--train_dir',
                'train',
                '--validation_dir',
                'val',
                '--validation_labels',
                'gone.txt',
            ),
            'cannot read',
        ),
        (('out', '--train_dir', 'train', '--names', 'boxes.csv'), 'boxes.csv, line 1'),
        (('out', '--train_dir', 'train', '--bounding_boxes', 'names.txt'), 'names.txt, line 1'),
        (('out', '--train_dir', 'train', '--synset_order', 'order.txt'), 'need --validation_dir'),
    ],
)
def test_bad_use(archives, arguments, words):
    status, _, stderr = convert(*arguments, cwd=archives)
    assert status == 2 and words in stderr.splitlines()[-1] and 'Traceback' not in stderr
    assert not (archives / 'out').exists() or not os.listdir(str(archives / 'out'))
