"""The stepper's expressions against results worked out by hand, and all that the language does not
have.
"""

import math

import numpy as np
import pytest

from mobilenet.debug import expressions
from mobilenet.errors import UsageError

VALUES = {
    'loss': [np.float32(0.5)],
    'global_step': [100],
    'skipped_steps': [np.int64(0)],
    'halted': [np.array(False)],
    'grad:Conv2d_0': [np.array([[3.0, 0.0]], np.float32), np.array([4.0], np.float16)],
    'grad:Conv2d_3_pointwise/weights': [np.array([0.6, 0.8])],
    'weight:Conv2d_3_pointwise/weights': [np.array([0.0, 5.0])],
    'act:Conv2d_1a': [np.array([1.0, np.nan, -np.inf])],
    'slot:v1.0-x/BatchNorm/*': [np.array([-1, 0, 2, 7])],
    'ema:*': [np.zeros([0, 3])],
    'MobilenetV1/Conv2d_0/Conv2D:0': [np.arange(6.0).reshape(2, 3)],
    'weight:odd/2': [np.array(7.0)],
    'labels': [np.array([b'a'])],
    'act:bools': [np.array([True, False, False, True])],
}


def value(text):
    return expressions.parse(text).value(VALUES.__getitem__)


RESULTS = [
    ('loss > 9', False),
    ('loss', 0.5),
    ('global_step == 100', True),
    ('global_step', 100),
    ('halted', False),
    ('skipped_steps > 0 or global_step % 7 == 2', True),
    ('not finite(grad:Conv2d_0)', False),
    ('finite(act:Conv2d_1a)', False),
    ('0 < loss < 1', True),
    ('0 < loss < 0.25', False),
    ('1 > loss != 0.5', False),
    ('loss/global_step', 0.005),
    ('norm(grad:Conv2d_0)', 5.0),
    ('size(grad:Conv2d_0)', 3),
    ('zeros(grad:Conv2d_0)', 1 / 3),
    ('norm(grad:Conv2d_3_pointwise/weights) / norm(weight:Conv2d_3_pointwise/weights)', 0.2),
    ('norm(grad:Conv2d_3_pointwise/weights)/5 > 0.1', True),
    ('max(slot:v1.0-x/BatchNorm/*) - min(slot:v1.0-x/BatchNorm/*)', 8.0),
    ('std(slot:v1.0-x/BatchNorm/*)', math.sqrt(9.5)),
    ('mean("MobilenetV1/Conv2d_0/Conv2D:0")', 2.5),
    ("sum('MobilenetV1/Conv2d_0/Conv2D:0' * 2)", 30.0),
    ('any(slot:v1.0-x/BatchNorm/* > 6) and not all(slot:v1.0-x/BatchNorm/* > 0)', True),
    ('"weight:odd/2" ** 2', 49.0),
    ('all(-1 <= slot:v1.0-x/BatchNorm/* <= 7)', True),
    ('any(0 < slot:v1.0-x/BatchNorm/* < 2)', False),
    ('max(abs(slot:v1.0-x/BatchNorm/* - 3))', 4.0),
    ('sum(slot:v1.0-x/BatchNorm/* * slot:v1.0-x/BatchNorm/*)', 54.0),
    ('mean(act:bools)', 0.5),
    ('any(act:bools)', True),
    ('all(act:bools)', False),
    ('zeros(act:bools)', 0.5),
    ('mean(ema:*)', math.nan),
    ('max(ema:*)', math.nan),
    ('norm(ema:*)', 0.0),
    ('zeros(ema:*)', 0.0),
    ('size(ema:*)', 0),
    ('max(act:Conv2d_1a) > 0', False),
    ('finite(act:Conv2d_1a) or size(act:Conv2d_1a) == 3', True),
    ('2 + 3 * 4 ** 2 / 8', 8.0),
    ('-2 ** 2', -4.0),
    ('(1 - 1e-3) * +2', 1.998),
    ('.5 == 5e-1', True),
    ('7 % 4', 3.0),
    ('1 / 0', math.inf),
    ('-1/0', -math.inf),
    ('0 / 0', math.nan),
    ('log10(0)', -math.inf),
    ('sqrt(-1)', math.nan),
    ('sqrt(16) + log10(1000)', 7.0),
    ('2 ** 10 ** 10', math.inf),
    ('9' * 400 + ' > loss', True),
    ('inf > 1e300', True),
    ('nan == nan', False),
    ('True and not False', True),
    ('loss and 0', False),
    ('1 or undefined', True),
    ('12', 12),
    ('True', True),
    ('False', False),
    ('9' * 400 + ' > inf', False),
    ('inf == ' + '9' * 400, True),
    ('loss == 0.5 == 0.5', True),
]


@pytest.mark.parametrize('text,expected', RESULTS, ids=[text[:60] for text, _ in RESULTS])
def test_results(text, expected):
    found = value(text)
    assert type(found) is type(expected)
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_names_are_listed_once_in_order_and_looked_up_once():
    expression = expressions.parse(
        ' loss<3 and  norm(grad:MobilenetV1/Conv2d_0.b-c/*)/loss > 1 or "a b:0" > x_1 '
    )
    assert expression.names == ['loss', 'grad:MobilenetV1/Conv2d_0.b-c/*', 'a b:0', 'x_1']
    assert (
        expression.text
        == 'loss<3 and norm(grad:MobilenetV1/Conv2d_0.b-c/*)/loss > 1 or "a b:0" > x_1'
    )
    asked = []

    def lookup(name):
        asked.append(name)
        return [2.0]

    assert expression.value(lookup) is False
    assert asked == ['loss', 'grad:MobilenetV1/Conv2d_0.b-c/*', 'a b:0', 'x_1']
    expressions.parse('loss > 5 and global_step > 3').value(
        lambda name: [asked.clear() or asked.append(name) or 1.0]
    )
    assert asked == ['loss']  # the rest does not matter


REFUSED = [
    ('', 'it is empty'),
    (' \n ', 'it is empty'),
    ('loss >', 'at the end'),
    ('loss > 1 and', 'at the end'),
    ('max(loss > 1 2 )', 'after `max(loss > 1`'),
    ('loss 9', 'after `loss`'),
    ('> 3', 'at its start'),
    ('(loss > 3', '1 ( and 0 )'),
    ('max(loss))', '1 ( and 2 )'),
    (')(', 'too much at the end'),
    ('()', 'not of this language'),
    ('loss.real', 'unexpected .'),
    ('loss.__class__', 'unexpected .'),
    ('act:Conv2d_0[0]', 'unexpected ['),
    ('__import__("os")', 'no function __import__'),
    ('open("/etc/passwd")', 'no function open'),
    ('__0', '__0 is not'),
    ('lambda: 0', 'lambda is not'),
    ('lambda', 'lambda is not'),
    ('1 if loss else 2', 'if is not'),
    ('loss in 3', 'in is not'),
    ('None', 'None is not'),
    ('loss = 3', '== compares'),
    ('loss > 1 & loss < 2', '`and`'),
    ('!halted', '`not`'),
    ('loss > 1 | loss < 2', '`or`'),
    ('loss ^ 2', '`**`'),
    ('loss[0]', 'functions look at all elements'),
    ('loss.max', 'names with dots go in quotes'),
    ("'loss > 3", 'quote is not closed'),
    ('loss ~ 3', 'unexpected ~; for'),
    ('loss > 1 or', 'at the end'),
    ('loss > 1 and not', 'at the end'),
    ('loss // 2', 'after `loss /`'),
    ('(1, 2)', 'tuple is not'),
    ('1, 2', 'tuple is not'),
    ('max(1, 2)', 'max takes one argument'),
    ('max()', 'max takes one argument'),
    ('max(*loss)', 'starred is not'),
    ('max(loss)(3)', 'call is not'),
    ('max > 3', 'max is a function: max(…)'),
    ('1j', 'after `1`'),
    ('gradient:Conv2d_0 > 3', 'names are act:…'),
    ('MobilenetV1/Conv2d_0:0 > 3', 'in quotes'),
    ('"loss > 3', 'quote is not closed'),
    ('max(grad:) > 1', 'grad: is no name'),
    ('max(grad:a/ 2)', 'grad:a/ is no name (leave a space before'),
    ('max(grad:a/2)', 'grad:a/2 is no name (leave a space'),
    ('max(grad:a*1e-3)', 'grad:a*1e-3 is no name'),
    ('max(grad:a**2)', 'leave a space'),
    ('max(grad:a-1)', 'leave a space'),
    ('grad:a/norm(weight:a)', 'grad:a/norm( is no name (leave a space'),
    ('loss # 3', 'unexpected #'),
    ('`loss`', 'unexpected `'),
    ('loss; loss', 'unexpected ;'),
    ('"' + 'x' * 3000 + '"', 'longer than'),
    ('-' * 1500 + '1', 'nested too deeply'),
    ('(' * 150 + '1' + ')' * 150, 'nested too deeply'),
    ('not ' * 60 + 'loss', 'nested too deeply'),
]


@pytest.mark.parametrize('text,reason', REFUSED, ids=[text[:40] for text, _ in REFUSED])
def test_refused(text, reason):
    with pytest.raises(UsageError) as raised:
        expressions.parse(text)
    message = str(raised.value)
    assert reason in message and '\n' not in message and len(message) < 400
    assert message.endswith('for instance: loss > 9 or not finite(grad:Conv2d_0)')


def refusal(text):
    try:
        expressions.parse(text)
    except UsageError as error:
        return str(error)


def test_the_limits_themselves_are_allowed():
    name = 'x' * 1998
    assert refusal(f'"{name}"') is None
    assert 'it is longer than 2000 characters' in refusal(f'"{name}x"')
    assert value('not ' * 50 + 'loss') is True
    assert 'nested too deeply' in refusal('not ' * 51 + 'loss')


def test_parentheses_are_counted_where_they_are_within_each_other(capfd):
    """Python's parser, which takes some 90, would say something on stderr itself."""
    assert value('(' * 50 + '7' + ')' * 50) == 7
    assert value(' and '.join(['(1 < 2)'] * 60)) is True
    for depth in (51, 80, 150):
        assert 'nested too deeply' in refusal('(' * depth + '7' + ')' * depth)
    assert capfd.readouterr().err == ''


def test_a_long_expression_is_shown_by_its_beginning():
    """The first 97 characters and an ellipsis, 100 characters as they are."""
    text = 'loss > 9 9 + ' + '1' * 87
    assert f'`{text}`: something' in refusal(text)
    assert f'`{text[:97]}…`: something' in refusal(text + '1')


@pytest.mark.parametrize(
    'text,reason',
    [
        ('grad:Conv2d_0', 'a value of 3 elements where one is needed: use a function'),
        ('grad:Conv2d_0 > 3', 'any(…), all(…), max(…)'),
        ('grad:Conv2d_0 > 3 and loss', '3 elements'),
        ('not grad:Conv2d_0', '3 elements'),
        ('abs(grad:Conv2d_0)', '3 elements'),
        ('norm(grad:Conv2d_0 - grad:Conv2d_3_pointwise/weights)', 'rows of 3 and 2 elements'),
        ('labels == 3', 'labels is nothing'),
    ],
)
def test_rows_are_no_values(text, reason):
    with pytest.raises(UsageError, match='.') as raised:
        value(text)
    assert reason in str(raised.value) and '\n' not in str(raised.value)


def test_the_lookups_own_error_comes_through():
    def lookup(name):
        raise UsageError('nothing is named ' + name)

    with pytest.raises(UsageError, match='^nothing is named los$'):
        expressions.parse('los > 3').value(lookup)


def test_values_as_text():
    assert [expressions.text_of(v) for v in (True, 12, 1 / 3, 100.0, math.nan, 1e-30)] == [
        'True',
        '12',
        '0.333333333',
        '100',
        'nan',
        '1e-30',
    ]
