"""Patterns against fnmatch where that one ends, and their time where it does not."""

import fnmatch
import itertools
import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from mobilenet import patterns


@settings(max_examples=1000, deadline=None)
@given(st.text('ab[]!?*\n.', max_size=8), st.text('ab[]!?*\n.', max_size=8))
def test_matches_are_those_of_fnmatch(text, pattern):
    assert patterns.matches(text, pattern) == fnmatch.fnmatchcase(text, pattern)


@pytest.mark.parametrize(
    'text,pattern,fits',
    [
        ('Conv2d_3_pointwise', 'Conv2d_[1-4]_*', True),
        ('Conv2d_5_pointwise', 'Conv2d_[1-4]_*', False),
        ('Conv2d_5_pointwise', 'Conv2d_[!1-4]_*', True),
        ('a-b', 'a[-x]b', True),
        ('b', '[z-a]', False),
        ('', '', True),
        ('', '***', True),
    ],
)
def test_sets_and_edges(text, pattern, fits):
    assert patterns.matches(text, pattern) is fits


def test_every_small_set_is_that_of_fnmatch():
    """All sets of up to four of five characters, but for ranges that fall, which it refuses."""
    compared = 0
    for members in (m for n in range(1, 5) for m in itertools.product('abc-!', repeat=n)):
        pattern = '[' + ''.join(members) + ']'
        try:
            wanted = [fnmatch.fnmatchcase(character, pattern) for character in 'abcd-!']
        except re.error:
            continue
        compared += 1
        found = [patterns.matches(character, pattern) for character in 'abcd-!']
        assert found == wanted, pattern
    assert compared > 500


def test_many_stars_end():
    started = time.process_time()
    assert not patterns.matches('a' * 400, '*a' * 200 + 'b')
    assert patterns.matches('a' * 400, '*a' * 200)
    assert time.process_time() - started < 10
