"""check_dataset.py and what it is made of, on real files."""

import os

import numpy as np
from PIL import Image
import pytest

import data
from data import examples, tfrecord, verify
from tests.helpers import slim_records


def encoded(seed, image_format='JPEG', size=(24, 16)):
    import io

    small = np.random.RandomState(seed).randint(0, 256, (3, 4, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(small).resize(size, Image.BICUBIC).save(out, image_format)
    return out.getvalue()


def example(image, label):
    return examples.image_example(image, 'JPEG', 16, 24, 3, label)


def write(folder, split, shards, class_names=('cat', 'dog', 'owl')):
    folder.mkdir(exist_ok=True)
    for index, records in enumerate(shards):
        with tfrecord.TFRecordWriter(
            str(folder / examples.shard_name(split, index, len(shards)))
        ) as writer:
            for record in records:
                writer.write(record)
    (folder / 'labels.txt').write_text(examples.labels_text(class_names))


def check(folder, *arguments, cache):
    return slim_records.script(
        'check_dataset.py', folder, *arguments, environment={'XDG_CACHE_HOME': str(cache)}
    )


@pytest.fixture(scope='module')
def damaged(tmp_path_factory):
    """A set with one fault of each kind; (folder, what check_dataset.py gave)."""
    folder = tmp_path_factory.mktemp('set') / 'damaged'
    good = [example(encoded(i), i % 3) for i in range(6)]
    torn = encoded(50)
    write(
        folder,
        'train',
        [
            [good[0], example(torn[: len(torn) // 2], 0), good[1], good[2]],
            [example(encoded(51), 3), good[0], b'no example', example(b'no image', 1), good[3]],
            [good[4], good[5], example(encoded(52), -1)],
        ],
    )
    first = folder / 'train-00000-of-00003'
    content = bytearray(first.read_bytes())
    content[-50] ^= 1  # within the last record
    first.write_bytes(bytes(content))
    last = folder / 'train-00002-of-00003'
    last.write_bytes(last.read_bytes()[:-7])
    write(folder, 'validation', [[good[1], example(encoded(60), 2), example(encoded(4), 0)]])
    return folder, check(folder, '--counts_csv', folder / 'counts.csv', cache=folder / 'cache')


def test_check_names_each_fault_by_file_and_record(damaged):
    folder, (status, stdout, stderr) = damaged
    assert status == 1, stderr
    shard = [str(folder / f'train-{i:05d}-of-00003') for i in range(3)]
    for index, record, reason in (
        (0, 1, 'JPEG'),
        (0, 3, 'checksum'),
        (1, 0, 'label 3 is out of range'),
        (1, 2, 'not a tf.train.Example'),
        (1, 3, ''),
        (2, 2, 'truncated'),
    ):
        place = f'{shard[index]}, record {record}: '
        assert any(line.startswith(place) and reason in line for line in stdout.splitlines()), (
            place,
            stdout,
        )
    validation = folder / 'validation-00000-of-00001'
    assert f'{shard[1]}, record 1: the same image as {shard[0]}, record 0\n' in stdout
    assert (
        f'{validation}, record 0: the same image as {shard[0]}, record 2, in train and validation\n'
        in stdout
    )
    assert (
        f'{validation}, record 2: the same image as {shard[2]}, record 0, in train and validation, '
        'with the labels 0 and 1\n'
    ) in stdout
    assert f'\n{folder}: 14 records, 6 findings, 3 duplicates\n' in stdout
    assert '--on_bad_record=skip' in stdout.splitlines()[-2]
    assert '--allow_duplicates' in stdout.splitlines()[-1]


def test_check_counts_classes_and_sizes(damaged):
    folder, (_, stdout, _) = damaged
    assert 'train: 11 records, 6 good' in stdout
    assert '24 to 24 (median 24) wide, 16 to 16 (median 16) high' in stdout
    # Good ones of train: 0 1 | 0 0 | 1 2; its third (label 2) has the wrong checksum.
    assert (folder / 'counts.csv').read_text().splitlines() == [
        'label,class,train,validation',
        '0,"cat",3,1',
        '1,"dog",2,1',
        '2,"owl",1,1',
    ]


def test_check_of_good_sets(tmp_path):
    write(tmp_path / 'good', 'train', [[example(encoded(i), i % 3) for i in range(3)]])
    status, stdout, stderr = check(tmp_path / 'good', cache=tmp_path)
    assert status == 0 and stdout.splitlines()[-1].endswith('3 records, all good, 0 duplicates'), (
        stderr
    )
    # A folder of images: its ready split, a kind that the pipeline converts, and a duplicate that
    # is allowed.
    for name, image_format in (
        ('a/1.jpg', 'JPEG'),
        ('a/2.bmp', 'BMP'),
        ('b/1.png', 'PNG'),
        ('b/2.png', 'PNG'),
    ):
        path = tmp_path / 'folder' / 'train' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(1 if image_format == 'PNG' else 2, image_format))
    arguments = (tmp_path / 'folder', '--dataset_name', 'folder', '--allow_duplicates')
    status, stdout, stderr = check(*arguments, cache=tmp_path)
    assert status == 0 and stdout.splitlines()[-1].endswith('4 records, all good, 1 duplicate'), (
        stderr
    )


@pytest.mark.parametrize(
    'arguments, words',
    [
        (('nowhere',), 'is no folder'),
        (('.',), 'no files train-'),
        (('.', '--split', 'validation'), 'no files validation-'),
        (('.', '--dataset_name', 'folder'), 'no class folders'),
        (('.', '--num_processes', '0'), '--num_processes'),
        ((), 'dir'),
    ],
)
def test_check_bad_use(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(str(tmp_path))
    status, stdout, stderr = slim_records.script('check_dataset.py', *arguments)
    assert status == 2 and words in stderr and stderr.count('\n') == 1 and not stdout


def test_duplicates_against_a_dictionary():
    rng = np.random.RandomState(0)
    raw = {
        split: rng.randint(0, 40, (60, 1)).astype(np.uint8) * np.ones((1, 16), np.uint8)
        for split in 'ab'
    }
    raw['a'][::7] = 0  # no hash
    by_hash = {}
    for split, rows in raw.items():
        for record, row in enumerate(rows):
            if row.any():
                by_hash.setdefault(row.tobytes(), []).append((split, record))
    expected = sorted(group for group in by_hash.values() if len(group) > 1)
    hashes = {
        split: np.ascontiguousarray(rows).view('V16').reshape(-1) for split, rows in raw.items()
    }
    assert verify.duplicates(hashes) == expected


def dies_at_seven(task):
    for record in range(task.start, task.stop):
        if record == 7:
            os._exit(77)
        yield (record, record + 1, [], [1], [2], [3], [4], np.array([b'x' * 16], 'V16'))


def test_a_decoder_that_takes_its_process_down_is_a_finding(monkeypatch, tmp_path):
    class Records:
        num_examples, errors = 20, []
        describe = staticmethod('file, record {}'.format)
        fingerprint = staticmethod(lambda: {'digest': 'any'})
        changed_ns = staticmethod(lambda: 1)

    class Counter:
        done = 0

        def update(self, count):
            self.done += count

        jump = update

    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(verify, 'check_records', dies_at_seven)
    counter = Counter()
    checked = verify.check_splits('any', 'any', {'train': Records}, 2, counter)['train']
    assert checked.findings == [('file, record 7', 'the process that read it ended with status 77')]
    assert checked.labels.tolist() == [1] * 7 + [-1] + [1] * 12 and counter.done == 20


def test_a_check_that_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    shards = [[example(encoded(i), i % 3) for i in range(40)] for _ in range(2)]
    shards[1][20] = example(b'no image', 1)
    write(tmp_path / 'set', 'train', shards)
    datasets = {'train': data.open_dataset('imagenet', str(tmp_path / 'set'), on_bad_record='skip')}

    class Counter:
        def __init__(self, stop_at):
            self.stop_at, self.read, self.known = stop_at, 0, 0

        def update(self, count):
            self.read += count
            if self.read >= self.stop_at:
                raise KeyboardInterrupt

        def jump(self, count):
            self.known = count

    def check(stop_at, **options):
        counter = Counter(stop_at)
        place = ('imagenet', str(tmp_path / 'set'), datasets)
        try:
            return counter, verify.check_splits(*place, 1, counter, **options)['train']
        except KeyboardInterrupt:
            return counter, None

    first, _ = check(stop_at=60)
    second, result = check(stop_at=1000)
    assert (first.known, second.known) == (0, 63) and second.read == 17  # the bad one once more
    whole, expected = check(stop_at=1000)
    assert (whole.known, whole.read) == (0, 80)  # nothing is left of a check that came to its end
    assert [f.place for f in result.findings] == [f'{tmp_path}/set/train-00001-of-00002, record 20']
    for column, values in zip(result, expected):
        assert (np.array(column) == np.array(values)).all()
