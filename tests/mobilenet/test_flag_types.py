"""What the text of a flag may be, and what argparse is told of a table of flags."""

import argparse

import pytest

from mobilenet import flag_types


def refusal(parse, text):
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        parse(text)
    return str(raised.value)


@pytest.mark.parametrize('text', ['true', 't', '1', 'yes', 'True', 'YES', 'T'])
def test_true(text):
    assert flag_types.boolean(text) is True


@pytest.mark.parametrize('text', ['false', 'f', '0', 'no', 'False', 'NO', 'F'])
def test_false(text):
    assert flag_types.boolean(text) is False


def test_what_is_neither():
    for text in ('', 'ja', '2', 'tr', 'yesno'):
        assert repr(text) in refusal(flag_types.boolean, text)


def test_numbers_within_bounds():
    share = flag_types.number(0, 1)
    assert [share(text) for text in ('0', '1', '0.5', '1e-3')] == [0.0, 1.0, 0.5, 0.001]
    assert isinstance(share('1'), float)
    for text in ('-0.001', '1.001', 'nan', 'inf', '-inf'):
        assert refusal(share, text) == f'{text} is out of range: use at least 0 and at most 1'
    assert refusal(share, 'half') == "'half' is not a number"
    assert refusal(flag_types.number(0), '-1') == '-1 is out of range: use at least 0'
    for text in ('inf', 'nan'):
        assert 'out of range' in refusal(flag_types.number(0), text)
    assert 'out of range' in refusal(flag_types.number(float('-inf')), '-inf')


def test_numbers_above_an_open_bound():
    positive = flag_types.number(0, open_low=True)
    assert positive('1e-30') == 1e-30
    assert refusal(positive, '0') == '0 is out of range: use more than 0'


def test_counts_are_whole():
    assert flag_types.count()('1') == 1 and isinstance(flag_types.count()('1'), int)
    assert flag_types.count(0)('0') == 0
    assert refusal(flag_types.count(), '0') == '0 is out of range: use at least 1'
    assert refusal(flag_types.count(), '1.5') == "'1.5' is not a whole number"
    port = flag_types.number(1024, 65000, int)
    assert (port('1024'), port('65000')) == (1024, 65000)
    assert 'at least 1024 and at most 65000' in refusal(port, '65001')


def test_loss_scales():
    assert flag_types.loss_scale('auto') == 'auto'
    assert flag_types.loss_scale('dynamic') == (4096.0, True)
    assert flag_types.loss_scale('dynamic:') == (4096.0, True)
    assert flag_types.loss_scale('dynamic:1') == (1.0, True)
    assert flag_types.loss_scale('0.5') == (0.5, False)
    assert 'at least 1' in refusal(flag_types.loss_scale, 'dynamic:0.5')
    assert 'more than 0' in refusal(flag_types.loss_scale, '0')
    assert flag_types.loss_scale('1e38') == (1e38, False)
    for text in ('1e39', 'dynamic:1e39'):  # an infinity, in float32
        assert 'at most 3.4e+38' in refusal(flag_types.loss_scale, text)
    for text in ('big', 'dynamic:big', 'fixed:3', '3:4'):
        assert 'is not a number' in refusal(flag_types.loss_scale, text)


def test_lists_of_steps():
    assert flag_types.steps('0,10-12, 7') == [[0, 0], [10, 12], [7, 7]]
    assert flag_types.steps('5-5') == [[5, 5]]
    assert flag_types.steps('9' * 12 + '-' + '9' * 12) == [[10**12 - 1, 10**12 - 1]]
    for text in ('', '3-1', '1-', '-1', 'a', '1,,2', '1-2-3', '1 2', '9' * 13, '1-' + '9' * 13):
        assert refusal(flag_types.steps, text) == (
            f'{text!r} is no list of steps: use such as 0,10-12'
        )


def test_retries_and_their_pause():
    assert flag_types.retries('5:60') == flag_types.retries('5') == [5, 60.0]
    assert flag_types.retries('0:0.5') == [0, 0.5] and flag_types.retries('2:') == [2, 60.0]
    assert 'at least 0' in refusal(flag_types.retries, '-1')
    assert 'at least 0' in refusal(flag_types.retries, '1:-1')
    assert 'not a whole number' in refusal(flag_types.retries, 'a:1')
    assert 'not a number' in refusal(flag_types.retries, '1:2:3')


def test_seconds():
    assert flag_types.seconds_or_auto('auto') == 'auto' and flag_types.seconds_or_auto('1') == 1.0
    assert 'at least 1' in refusal(flag_types.seconds_or_auto, '0.9')


def test_a_default_as_help_shows_it():
    shown = [flag_types.shown_default(value) for value in (None, False, '', [], ())]
    assert shown == ['', '', '', '', '; default ()']
    values = (0.00004, 1.0, 3, True, 'x', 0)
    assert [flag_types.shown_default(value)[10:] for value in values] == [
        '4e-05',
        '1',
        '3',
        'True',
        'x',
        '0',
    ]


def test_lists_of_names():
    assert flag_types.names('A, B,,C/d ') == ['A', 'B', 'C/d']
    assert flag_types.names(' , ') == []


TABLE = [
    flag_types.flag('rate', 'how fast, 100 % of it', 0.4, flag_types.number(0)),
    flag_types.flag('steps', 'how many', 3, flag_types.count(), metavar='N'),
    flag_types.flag('switch', 'on or off', False, flag_types.boolean),
    flag_types.flag('name', 'which', choices=('a', 'b')),
    flag_types.flag('chip', 'only there', '', device='npu'),
    flag_types.flag('level', 'how loud', 1, flag_types.count(0), bare=2),
]


@pytest.fixture
def parser():
    result = flag_types.Parser(prog='tool.py', allow_abbrev=False)
    flag_types.add_group(result, 'a title', TABLE)
    return result


def test_a_table_of_flags(parser):
    args = parser.parse_args([])
    assert vars(args) == {
        'rate': 0.4,
        'steps': 3,
        'switch': False,
        'name': None,
        'chip': '',
        'level': 1,
    }
    argv = ['--rate', '2', '--steps=5', '--switch', '--name=b', '--chip', 'x', '--level']
    assert vars(parser.parse_args(argv)) == {
        'rate': 2.0,
        'steps': 5,
        'switch': True,
        'name': 'b',
        'chip': 'x',
        'level': 2,
    }
    assert parser.parse_args(['--switch=no', '--level=7']).level == 7
    assert parser.parse_args(['--switch=no']).switch is False


def test_help_says_titles_defaults_and_devices(parser):
    words = ' '.join(parser.format_help().split())
    for said in (
        'a title:',
        'how fast, 100 % of it; default 0.4',
        '--steps N how many; default 3',
        '--switch [BOOL] on or off --name',
        '--name {a,b} which --chip',
        '--chip CHIP npu only: only there --level',
        '--level [N] how loud; default 1',
    ):
        assert said in words, said


def test_a_long_list_of_choices_follows_the_help(monkeypatch):
    """At 61 characters; a flag's value is called as its name's last word; help is in column 30."""
    monkeypatch.setenv('COLUMNS', '120')
    table = [
        flag_types.flag('train_dir', 'where'),
        flag_types.flag('kind', 'which', choices=('a' * 29, 'b' * 30)),
        flag_types.flag('long_kind', 'which', choices=('a' * 30, 'b' * 30)),
        flag_types.flag('of_exactly_23_letters_x', 'beside it', type=flag_types.count()),
    ]
    parser = flag_types.Parser(prog='tool.py', add_help=False, usage='')
    flag_types.add_group(parser, 'a title', table)
    lines = parser.format_help().splitlines()
    assert lines[-7:] == [
        'a title:',
        '  --train_dir DIR             where',
        '  --kind {' + 'a' * 29 + ',' + 'b' * 30 + '}',
        '                              which',
        '  --long_kind NAME            which; one of ' + 'a' * 30 + ', ' + 'b' * 30,
        '  --of_exactly_23_letters_x N',
        '                              beside it',
    ]
    named = flag_types.Parser(prog='tool.py', add_help=False, usage='')
    flag_types.add_group(named, 'a title', table[:2], names_only=True)
    assert named.format_help().splitlines()[-2:] == ['a title:', '  --train_dir, --kind']
    assert named.parse_args(['--train_dir=x']).train_dir == 'x'


def test_wrong_use_is_one_line_and_status_2(parser, capsys):
    for argv, said in (
        (['--rate=-1'], 'argument --rate: -1 is out of range'),
        (['--other'], 'unrecognized arguments: --other'),
        (['--ste=3'], 'unrecognized arguments: --ste=3'),
        (['--steps'], 'argument --steps: expected one argument'),
    ):
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(argv)
        assert ended.value.code == 2
        err = capsys.readouterr().err
        assert err.startswith('tool.py: ') and said in err
        assert err.count('\n') == 1 and err.endswith(' (--help lists the flags)\n')


def test_a_message_of_several_lines_becomes_one(parser, capsys):
    with pytest.raises(SystemExit):
        parser.error('one\n  two')
    assert capsys.readouterr().err == 'tool.py: one two (--help lists the flags)\n'


def test_a_switch_of_a_script():
    parser = argparse.ArgumentParser()
    flag_types.add_switch(parser, '--fast', 'at once')
    assert parser.parse_args([]).fast is False
    assert parser.parse_args(['--fast']).fast is True
    assert parser.parse_args(['--fast=no']).fast is False
    assert '--fast [BOOL]' in parser.format_help()
