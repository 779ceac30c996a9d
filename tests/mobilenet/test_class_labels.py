"""Names of outputs, and which output a data set's label is."""

import types

import pytest

from mobilenet import class_labels
from mobilenet.errors import UsageError


def data_set(count, names=None):
    return types.SimpleNamespace(num_classes=count, class_names=names)


def write(tmp_path, text):
    (tmp_path / 'labels.txt').write_text(text)
    return str(tmp_path / 'labels.txt')


@pytest.mark.parametrize(
    'text,names',
    [
        ('0:a\n1:b, c\n', ['a', 'b, c']),
        ('1:a\n2:b\n', ['background', 'a', 'b']),
        ('a\nb: c\n\n', ['a', 'b: c']),
    ],
)
def test_files_of_names(tmp_path, text, names):
    assert class_labels.read_names(write(tmp_path, text)) == names


@pytest.mark.parametrize('text', ['', '0:a\n0:b\n', '0:a\n5:b\n'])
def test_bad_files_of_names(tmp_path, text):
    with pytest.raises(UsageError):
        class_labels.read_names(write(tmp_path, text))


@pytest.mark.parametrize('text', ['0:a\nx:b\n', '0:a\n1 b\n', '\ufeff0:a\r\n:b\r\n'])
def test_a_line_that_almost_is_one_is_named(tmp_path, text):
    (tmp_path / 'labels.txt').write_bytes(text.encode())
    with pytest.raises(UsageError, match='labels.txt, line 2: '):
        class_labels.read_names(str(tmp_path / 'labels.txt'))


def test_number_of_names(tmp_path):
    path = write(tmp_path, 'a\nb\n')
    assert class_labels.names_of('', path, 2) == ['a', 'b']
    assert class_labels.names_of('', path, 3) == ['background', 'a', 'b']
    assert class_labels.names_of(str(tmp_path), None, 2) == ['a', 'b']
    assert class_labels.names_of(str(tmp_path), None, 7) is None
    with pytest.raises(UsageError, match='has 2 names, the network has 7 outputs'):
        class_labels.names_of('', path, 7)


def test_offset():
    outputs, said = class_labels.outputs_of_labels(data_set(1000), 1001, 'auto')
    assert outputs == list(range(1, 1001)) and '--label_offset=1' in said
    assert class_labels.outputs_of_labels(data_set(10), 10, 'auto') == (list(range(10)), None)
    assert class_labels.outputs_of_labels(data_set(9), 10, '1')[0] == list(range(1, 10))
    assert class_labels.outputs_of_labels(data_set(9), 10, '0')[0] == list(range(9))
    for classes, offset in ((9, 'auto'), (11, '0'), (10, '1')):
        with pytest.raises(UsageError, match='--class_names'):
            class_labels.outputs_of_labels(data_set(classes), 10, offset)


def test_a_few_classes_by_name():
    names = ['background', 'n02123045 tabby, tabby cat', 'tiger cat', 'Egyptian cat', 'cat']
    few = data_set(3, ['tiger_cat', 'n02123045', 'cat'])
    assert class_labels.outputs_of_labels(few, 5, 'auto', names)[0] == [2, 1, 4]
    assert class_labels.outputs_of_labels(data_set(1, ['Tabby Cat']), 5, 'auto', names)[0] == [1]
    with pytest.raises(UsageError, match="named 'tigercat' .* the nearest are tiger cat"):
        class_labels.outputs_of_labels(data_set(1, ['tigercat']), 5, 'auto', names)
