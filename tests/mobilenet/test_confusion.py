"""Confusion: the worst pairs counted by hand; names of any script are drawn as text."""

import numpy as np
from PIL import Image
import pytest

from mobilenet import confusion, fonts

CHINESE = '虎斑猫'


def test_the_worst_pairs_by_hand():
    labels = [0, 0, 0, 1, 1, 2, 2, 2]
    answers = [1, 1, 0, 2, 1, 0, 0, 0]
    counts = confusion.matrix(np.array(labels), np.array(answers), 3)
    assert confusion.worst_pairs(counts) == [(2, 0, 3), (0, 1, 2), (1, 2, 1)]
    assert confusion.worst_pairs(counts, most=1) == [(2, 0, 3)]


def drawn(folder, num_classes, answers, names):
    labels = np.zeros(20, int)
    paths = confusion.write(str(folder), 1, labels, answers, names, num_classes)
    return np.asarray(Image.open(paths[2]).convert('L'))


def test_many_classes_are_no_blank_square(tmp_path):
    """1,001 classes: a bar for each of the pairs, and a picture of another size for one of them."""
    names = [f'class {i}' for i in range(1001)]
    one = drawn(tmp_path, 1001, np.full(20, 7), names)
    ten = drawn(tmp_path, 1001, np.arange(20) % 11, names)
    assert (one < 128).mean() > 0.005 and ten.shape[0] > one.shape[0]


@pytest.mark.parametrize('num_classes', [3, 100])
def test_names_with_dollars_are_text(tmp_path, num_classes):
    """As mathematics `$\\frac{$` cannot be drawn at all."""
    names = ['$\\frac{$', '$x$'] + [str(i) for i in range(2, num_classes)]
    drawn(tmp_path, num_classes, np.ones(20, int), names)


def test_a_font_with_the_characters_or_a_line_that_says_what_to_install(capsys):
    fonts._path_for.cache_clear()
    assert fonts.path_for(['tabby cat', 'кот']) is None
    path = fonts.path_for([CHINESE])
    said = capsys.readouterr().err
    if path is None:
        assert CHINESE[0] in said and 'fonts-noto-cjk' in said
    else:
        assert said == '' and set(CHINESE) <= fonts._characters(path)


def test_without_such_a_font(monkeypatch, capsys):
    from matplotlib import font_manager

    monkeypatch.setattr(font_manager, 'findSystemFonts', lambda: [])
    fonts._path_for.cache_clear()
    try:
        assert fonts.path_for([CHINESE]) is None and fonts.path_for([CHINESE, 'cat']) is None
        assert len(capsys.readouterr().err.splitlines()) == 1  # once
    finally:
        fonts._path_for.cache_clear()
