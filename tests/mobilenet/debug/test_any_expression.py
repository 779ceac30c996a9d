"""The stepper's expressions, whatever is typed: a value, that of Python, or our own error."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from mobilenet.debug import expressions
from mobilenet.errors import UsageError
from tests.mobilenet.debug.test_expressions import VALUES, value

PIECES = st.sampled_from(
    ['loss', 'grad:Conv2d_0', 'ema:*', '"MobilenetV1/Conv2d_0/Conv2D:0"', 'labels', 'act:bools']
    + ['nan', 'inf', 'True', '0', '1e400', '9' * 400, '1j', '²', '٣', 'not', 'and', 'or', 'lambda']
    + ['+', '-', '*', '/', '**', '%', '<', '==', '!=', '(', ')', ',', '=', '\n', '\0', "'", '__0']
    + [name + '(' for name in sorted(expressions.FUNCTIONS)]
)


NESTED = st.builds(
    lambda part, times, middle: part * times + middle + ')' * (times * part.count('(')),
    st.sampled_from(['(', '-', 'not ', '1 + ', '2 ** ', 'abs(', '(loss - ', 'loss < ']),
    st.integers(1, 700),
    st.sampled_from(['loss', '1', 'grad:Conv2d_0', '']),
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=12).map(' '.join), NESTED))
def test_whatever_is_typed_gives_a_value_or_our_own_error(text):
    try:
        found = value(text)
    except UsageError as error:
        assert '\n' not in str(error)
    except KeyError as error:  # of `lookup`, which knows no other names
        assert error.args[0] not in VALUES
    else:
        assert isinstance(found, (bool, int, float))


NUMBERS = st.one_of(st.integers(0, 9).map(str), st.floats(0, 9).map('{:.3f}'.format))


FORMULAS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.builds('({} {} {})'.format, inner, st.sampled_from('+-*'), inner),
        st.builds('-{}'.format, inner),
        st.builds('abs({})'.format, inner),
        st.builds('({} {} {})'.format, inner, st.sampled_from(['<', '==', '>=']), inner),
        st.builds('@({} {} {})'.format, inner, st.sampled_from(['and', 'or']), inner),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(FORMULAS)
def test_values_are_those_of_python(text):
    """`@` stands where Python gives an operand of `and` and `or`, and the language its truth."""
    assert value(text.replace('@', '')) == pytest.approx(eval(text.replace('@', 'bool')))
