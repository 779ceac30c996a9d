"""Lists of synsets, labels and boxes as people have them: read, or refused by line."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from data import imagenet_archives
from mobilenet.errors import UsageError

A, B, C = 'n01440764', 'n01443537', 'n01484850'
NAMES = [f'ILSVRC2012_val_0000000{i}.JPEG' for i in (1, 2, 3)]


def labels(folder, content, order=None):
    path = folder / 'labels.txt'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return imagenet_archives.read_validation_labels(str(path), NAMES, order and str(order))


@pytest.mark.parametrize(
    'content',
    [
        f'{B}\n{A}\n{C}\n',
        f'\ufeff{B}\r\n{A}\r\n{C}',  # Notepad
        f'# a comment\n{B}\r\r{A}\r{C}\r',
        # Kaggle's LOC_val_solution.csv, in no order
        'ImageId,PredictionString\n'
        f'ILSVRC2012_val_00000003,{C} 85 1 499 272 \n'
        f'ILSVRC2012_val_00000001,{B} 131 0 499 254 {B} 1 2 3 4\n'
        f'ILSVRC2012_val_00000002,{A} 123 0 499 254\n',
        f'{NAMES[1]} {A}\n{NAMES[0]} {B}\n{NAMES[2]} {C}\n',
        f'val/{NAMES[1]},{A}\nval/{NAMES[0]},{B}\nval/{NAMES[2]},{C}\n',
        f'{A} {NAMES[1]}\n{C} {NAMES[2]}\n{B}\t{NAMES[0]}\n',
        '"ImageId","PredictionString"\r\n'  # as a spreadsheet writes it
        f'"ILSVRC2012_val_00000003","{C} 85 1 499 272"\r\n'
        f'"ILSVRC2012_val_00000001","{B} 131 0 499 254"\r\n'
        f'"ILSVRC2012_val_00000002","{A} 1 2 3 4"\r\n',
    ],
)
def test_validation_labels(tmp_path, content):
    assert labels(tmp_path, content) == [B, A, C]


def test_numbers_through_an_order(tmp_path):
    order = tmp_path / 'order.txt'
    order.write_bytes(b'\xef\xbb\xbf' + f'{A} tench\r\n{B}\r\n{C}\r\n'.encode())
    assert labels(tmp_path, '2\n1\n3\n', order) == [B, A, C]
    for wrong in ('0', '4', '²', '٢', 'x', '-1', '1e0'):
        with pytest.raises(UsageError, match='line 2'):
            labels(tmp_path, f'1\n{wrong}\n', order)


@pytest.mark.parametrize(
    'content,words',
    [
        ('', 'is empty'),
        ('ImageId,PredictionString\n', 'is empty'),
        (f'{A}\nn0144\n', "line 2: 'n0144' is no synset"),
        ('synset\n65\n', "line 1: 'synset' is neither a synset"),
        (f'{NAMES[0]} {A}\n{NAMES[1]} {B}\n', f'has no label for {NAMES[2]}'),
        (f'{NAMES[0]} {A}\n{NAMES[0]} {B}\n', 'line 2: a second label'),
        (f'{NAMES[0]} 65\n', "line 1: '65' is no synset"),
        (f'{NAMES[0]} {A}\n{NAMES[1]}\n', 'line 2'),
        (f'{A} {NAMES[0]}\n{B}\n', 'line 2'),
        (f'{A} {NAMES[0]}\n{B} {NAMES[1]}\n', f'has no label for {NAMES[2]}'),
        ('1\n2\n', '--synset_order'),
        (b'\0\0', 'not a text file'),
    ],
)
def test_labels_that_are_wrong(tmp_path, content, words):
    with pytest.raises(UsageError, match=words):
        labels(tmp_path, content)


WORDS = st.sampled_from([A, B, 'n0', '1', '²', '0.5', 'nan', 'inf', NAMES[0], 'x', ',', '#', ''])
LINES = st.lists(st.lists(WORDS, max_size=6).map(' '.join), max_size=5).map('\n'.join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(LINES, LINES.map(lambda t: t.replace(' ', ',')), st.text(max_size=60)))
def test_any_list_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / 'list-hypothesis'
    path.write_bytes(content.encode('utf-8', 'surrogatepass'))
    for read in (
        imagenet_archives.read_synsets,
        imagenet_archives.read_names,
        imagenet_archives.read_boxes,
        lambda p: imagenet_archives.read_validation_labels(p, NAMES),
        lambda p: imagenet_archives.read_validation_labels(p, NAMES, p),
    ):
        try:
            read(str(path))
        except UsageError as error:
            assert str(path) in str(error) and '\n' not in str(error)


def test_boxes_are_clipped_and_need_an_area(tmp_path):
    path = tmp_path / 'boxes.csv'
    path.write_text('a.JPEG,-1,0.25,0.5,2\nb.JPEG,0.5,0,0.5,1\nc.JPEG,nan,0,1,1\n')
    assert imagenet_archives.read_boxes(str(path)) == ({'a.JPEG': [(0.0, 0.25, 0.5, 1.0)]}, 2)
