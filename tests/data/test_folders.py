"""How a folder of images is read: splits, classes, what is left out, names in any bytes."""

import os
import socket
import subprocess
import time
import unicodedata

import pytest

import data
from data import folders
from data.tfrecord import BadRecord
from mobilenet.errors import UsageError
from tests.helpers.data_files import jpeg, noise

IMAGE = jpeg(noise(8, 8, 0))


def make(root, *paths):
    """Image files at these paths; a path that ends in '/' is an empty folder."""
    for path in paths:
        place = os.path.join(os.fsencode(str(root)), os.fsencode(path))
        os.makedirs(place if path.endswith('/') else os.path.dirname(place), exist_ok=True)
        if not path.endswith('/'):
            with open(place, 'wb') as file:
                file.write(IMAGE)


def listed(root):
    """({split: {class: [path below root]}}, notes)"""
    listing = folders.list_splits(str(root))
    return {
        split: {name: [os.path.relpath(p, str(root)) for p in paths] for name, paths in c.items()}
        for split, c in listing.splits.items()
    }, '\n'.join(listing.notes)


@pytest.mark.parametrize('train', ['train', 'Train', 'TRAIN', 'training', 'Training'])
@pytest.mark.parametrize('validation', ['validation', 'val', 'Val', 'valid', 'Validation'])
def test_known_split_names_in_any_case(tmp_path, train, validation):
    make(tmp_path, f'{train}/a/1.jpg', f'{train}/b/2.jpg', f'{validation}/b/3.jpg', 'test/a/4.jpg')
    splits, notes = listed(tmp_path)
    assert splits == {
        'train': {'a': [f'{train}/a/1.jpg'], 'b': [f'{train}/b/2.jpg']},
        'validation': {'a': [], 'b': [f'{validation}/b/3.jpg']},
    }
    assert 'neither train nor validation: test' in notes
    assert (
        f'1 held out in {tmp_path}/{validation}'
        in data.open_dataset('folder', str(tmp_path)).summary
    )


@pytest.mark.parametrize(
    'paths,words',
    [
        (
            ['train_images/a/1.jpg', 'val_images/a/2.jpg'],
            ['train_images and val_images', 'train ('],
        ),
        (['trainig/a/1.jpg', 'validaton/a/2.jpg'], ['trainig and validaton', 'validation (or val']),
        (['train2017/a/1.jpg', 'val2017/a/2.jpg'], ['train2017 and val2017']),
        (['validation/a/1.jpg'], ['class folders in validation, but no folder train']),
        (['train/a/1.jpg', 'vali-dation/a/1.jpg'], ['train and vali-dation', 'move vali-dation']),
        (['train/cat.0.jpg', 'test1/1.jpg'], ['no class folders in them', 'CLASS/IMAGE']),
        (['Training/1.jpg', 'Validation/1.jpg'], ['no class folders in them']),
        (['Trainset/a/1.jpg', 'Valset/a/1.jpg'], ['Trainset and Valset', 'train (']),
        (['dev/a/1.jpg', 'train_split/a/1.jpg'], ['dev and train_split', 'train (']),
        (
            ['seg_test/seg_test/a/1.jpg', 'seg_train/seg_train/a/1.jpg', 'seg_pred/1.jpg'],
            ['seg_test and seg_train', 'train ('],
        ),
        (['train/train/a/1.jpg', 'val/val/a/1.jpg'], ['train holds one folder, train', 'up']),
        (['imagenet/train/a/1.jpg', 'imagenet/val/a/1.jpg'], ['one folder, imagenet', 'give ']),
        (['x/y/train/a/1.jpg', 'x/y/val/a/1.jpg'], ['one folder, x/y', 'give ']),
    ],
)
def test_near_misses_are_refused(tmp_path, paths, words):
    make(tmp_path, *paths)
    with pytest.raises(UsageError) as error:
        folders.list_splits(str(tmp_path))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    'paths,classes',
    [
        (['train/1.jpg', 'car/1.jpg'], ['car', 'train']),  # a class may be named train
        (['valid/1.jpg', 'broken/1.jpg'], ['broken', 'valid']),
        (['brain/p1/1.jpg', 'lung/p2/1.jpg'], ['brain', 'lung']),  # sub-folders of a class
        (['trail/p1/1.jpg', 'road/1.jpg', 'path/p/1.jpg'], ['path', 'road', 'trail']),
        (['freight train/p1/1.jpg', 'bus/p2/1.jpg'], ['bus', 'freight train']),
        (['train/train/1.jpg', 'train/bus/1.jpg'], ['bus', 'train']),
    ],
)
def test_classes_that_only_sound_like_splits(tmp_path, paths, classes):
    make(tmp_path, *paths)
    (found,) = listed(tmp_path)[0].values()
    assert list(found) == classes


def test_classes_with_the_same_folders_within_get_a_line(tmp_path):
    make(tmp_path, *(f'fold{fold}/{name}/1.jpg' for fold in (1, 2) for name in 'ab'))
    splits, notes = listed(tmp_path)
    assert list(splits[None]) == ['fold1', 'fold2']
    assert (
        'fold1 and fold2 are taken for classes, but have the same sub-folders, such as a' in notes
    )
    make(tmp_path, *(f'fold3/{name}/1.jpg' for name in 'cdefg'))
    assert 'taken for classes' not in listed(tmp_path)[1]


def test_classes_that_differ_only_in_case_get_a_line(tmp_path):
    make(tmp_path, *(f'{name}/1.jpg' for name in ('Apple', 'STRASSE', 'apple', 'pear', 'straße')))
    notes = listed(tmp_path)[1]
    assert 'Apple and apple differ only in case' in notes and 'STRASSE and straße' in notes
    assert notes.count('only in case') == 2


def test_names_do_not_reach_a_terminal_raw(tmp_path):
    make(tmp_path, 'a/1\n\x1b[31m.jpg', '.hid\nden', 'b/2.jpg', 'c\n\t/', 'C\n\t/', 'x\n.jpg')
    dataset = data.open_dataset('folder', str(tmp_path))
    lines = [dataset.summary, *dataset.notes, dataset.describe(0)]
    assert lines[-1].endswith(r'/a/1\n\x1b[31m.jpg') and len(lines) == 6, lines
    assert not any(set('\n\t\x1b') & set(line) for line in lines)
    (tmp_path / 'a' / '1\n\x1b[31m.jpg').write_bytes(b'')
    with pytest.raises(BadRecord) as error:
        dataset.read(0)
    assert error.value.place == lines[-1]


def test_hidden_and_system_files_are_left_out_with_a_line(tmp_path):
    make(
        tmp_path,
        '__MACOSX/a/._1.jpg',
        '.cache/x.jpg',
        '@eaDir/a/1.jpg',
        'a/1.jpg',
        'a/.DS_Store',
        'a/Thumbs.db',
        'a/Icon\r',
        'Temporary Items/1.jpg',
        'a/@eaDir/1.jpg',
        'a/deep/__MACOSX/2.jpg',
        'a/deep/3.jpg',
        'b/4.jpg',
        'loose.jpg',
    )
    splits, notes = listed(tmp_path)
    assert splits == {None: {'a': ['a/1.jpg', 'a/deep/3.jpg'], 'b': ['b/4.jpg']}}
    assert '9 left out (hidden or system): .cache' in notes
    assert '1 images in no class folder' in notes


def test_each_real_folder_once(tmp_path):
    make(tmp_path, 'a/1.jpg', 'a/deep/2.jpg', 'b/3.jpg', 'b/4.jpg')
    (tmp_path / 'a' / 'up').symlink_to('..')  # to a parent
    (tmp_path / 'a' / 'self').symlink_to('self')  # to itself: no folder, a file that fails
    (tmp_path / 'a' / 'deep' / 'again').symlink_to('../deep')
    (tmp_path / 'a' / 'other').symlink_to('../b')  # another class
    (tmp_path / 'all').symlink_to('.')
    (tmp_path / 'above').symlink_to(str(tmp_path.parent))
    make(tmp_path.parent / 'elsewhere', '5.jpg')
    (tmp_path / 'c').symlink_to(str(tmp_path.parent / 'elsewhere'))  # this one counts
    splits, notes = listed(tmp_path)
    assert splits == {
        None: {
            'a': ['a/1.jpg', 'a/self', 'a/deep/2.jpg'],
            'b': ['b/3.jpg', 'b/4.jpg'],
            'c': ['c/5.jpg'],
        }
    }
    assert '5 left out (linked to a folder that is counted already)' in notes


def test_deep_folders(tmp_path):
    path = 'a/' + 'd/' * 1500
    os.makedirs(str(tmp_path / 'a'))
    here = os.open(str(tmp_path / 'a'), os.O_RDONLY)
    for _ in range(1500):
        os.mkdir('d', dir_fd=here)
        here, old = os.open('d', os.O_RDONLY, dir_fd=here), here
        os.close(old)
    os.close(here)
    make(tmp_path, path + '1.jpg')
    try:
        assert listed(tmp_path)[0] == {None: {'a': [path + '1.jpg']}}
    finally:  # Python's own rmtree gives up
        subprocess.run(['rm', '-rf', str(tmp_path / 'a')], check=True)


def test_what_is_no_file_is_named_and_never_opened(tmp_path):
    make(tmp_path, *(f'a/{i}.jpg' for i in range(8)))
    os.mkfifo(str(tmp_path / 'a' / 'fifo'))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / 'a' / 'socket'))
    (tmp_path / 'a' / 'zero').symlink_to('/dev/zero')
    (tmp_path / 'a' / 'none').symlink_to('nowhere')
    dataset, found, started = data.open_dataset('folder', str(tmp_path)), {}, time.time()
    held_out = data.open_dataset('folder', str(tmp_path), 'validation')
    for part in (dataset, held_out):
        for record in range(part.num_examples):
            try:
                part.read(record)
            except BadRecord as error:
                found[os.path.basename(error.place)] = error.reason
    assert time.time() - started < 120
    assert found == {
        'fifo': 'a pipe (FIFO), not a file',
        'socket': 'a socket, not a file',
        'zero': 'a device, not a file',
        'none': 'No such file or directory',
    }
    listener.close()


def test_a_file_that_is_too_large_is_named(tmp_path):
    make(tmp_path, *(f'a/{i}.jpg' for i in range(5)))
    os.truncate(str(tmp_path / 'a' / '0.jpg'), 1 << 40)
    with pytest.raises(BadRecord, match='0.jpg: larger than 512 MB'):
        data.open_dataset('folder', str(tmp_path)).read(0)


def test_the_same_name_in_two_forms_of_unicode(tmp_path):
    composed, decomposed = 'café', unicodedata.normalize('NFD', 'café')
    make(tmp_path, f'train/{composed}/1.jpg', f'validation/{decomposed}/1.jpg')
    with pytest.raises(UsageError, match='composed and one in decomposed'):
        folders.list_splits(str(tmp_path))
    with pytest.raises(UsageError, match='no such folder.*decomposed'):
        data.open_dataset('folder', str(tmp_path / 'validation' / composed))


def test_names_in_any_bytes(tmp_path):
    names = ['caf\udce9', '你好', 'кот', "it's [1]", 'plain']
    make(tmp_path, *(f'{name}/{name}.jpg' for name in names))
    dataset = data.open_dataset('folder', str(tmp_path))
    assert dataset.class_names == sorted(names)
    for record in range(dataset.num_examples):
        assert dataset.read(record).encoded == IMAGE


def test_few_classes_with_files_that_look_like_something_else(tmp_path):
    make(tmp_path, *(f'{c}/{i:04d}.jpg' for c in ('images', 'masks') for i in range(600)))
    assert 'have the same names' in listed(tmp_path)[1]
    kaggle = tmp_path / 'kaggle'
    make(kaggle, *(f'photos/{c}.{i}.jpg' for c in ('cat', 'dog') for i in range(600)))
    make(kaggle, *(f'more/{i}.jpg' for i in range(5)))
    assert 'class photos are named cat., dog. and so on' in listed(kaggle)[1]


def test_classes_without_an_image_get_a_line(tmp_path):
    make(tmp_path, 'train/a/1.jpg', 'train/b/1.jpg', 'train/c/', 'val/a/2.jpg', 'val/d/2.jpg')
    assert 'classes without an image to train on: c, d' in listed(tmp_path)[1]
    make(tmp_path, *(f'train/c{i}/' for i in range(6)))
    assert 'to train on: c, c0, c1, c2, c3 and 3 more' in listed(tmp_path)[1]


def test_a_second_validation_folder_gets_a_line(tmp_path):
    make(tmp_path, 'train/a/1.jpg', 'val/a/2.jpg', 'validation/a/3.jpg', 'Train/a/4.jpg')
    splits, notes = listed(tmp_path)
    assert splits['validation'] == {'a': ['validation/a/3.jpg']}
    assert 'left out, as train and validation are used: Train, val' in notes


def test_fingerprint_tells_order_names_and_sizes(tmp_path):
    make(tmp_path, 'a/1.jpg', 'a/2.jpg', 'a/3.jpg', 'b/1.jpg', 'b/2.jpg', 'b/3.jpg')

    def fingerprint():
        return data.fingerprint(data.open_dataset('folder', str(tmp_path)))

    first = fingerprint()
    assert first == fingerprint()
    assert (first['records'], first['num_classes'], first['class_names']) == (5, 2, ['a', 'b'])
    os.rename(str(tmp_path / 'a'), str(tmp_path / 'c'))
    renamed = fingerprint()
    assert renamed['class_names'] == ['b', 'c'] and renamed['digest'] != first['digest']
    (tmp_path / 'c' / '1.jpg').write_bytes(IMAGE + b' ')
    assert fingerprint()['digest'] != renamed['digest']
