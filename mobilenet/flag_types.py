"""What a flag's text may be: the types of the tables in mobilenet/flags.py, and the parser. No
TensorFlow here.
"""

import argparse
import collections
import math
import re

DYNAMIC_START = 4096.0  # of a dynamic loss scale
LARGEST_FLOAT32 = 3.4e38
LONGEST_CHOICES = 60  # characters that `--help` has in braces behind a flag

# default: None where it follows from others; device: the only one it is for, or None.
Flag = collections.namedtuple('Flag', 'name help default type choices metavar device bare')


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog):
        super().__init__(prog, max_help_position=30)


class Parser(argparse.ArgumentParser):
    """argparse, but wrong use is one line on stderr and exit status 2, and `--help` is narrow."""

    def __init__(self, **settings):
        settings.setdefault('formatter_class', _Formatter)
        super().__init__(**settings)

    def error(self, message):
        self.exit(2, f'{self.prog}: {" ".join(message.split())} (--help lists the flags)\n')


def boolean(text):
    """`--flag`, `--flag=true`, `--flag=false`, as absl and slim take them."""
    if text.lower() in ('true', 't', '1', 'yes'):
        return True
    if text.lower() in ('false', 'f', '0', 'no'):
        return False
    raise argparse.ArgumentTypeError(f'{text!r} is not true or false')


def number(low, high=math.inf, kind=float, open_low=False):
    """An argparse type: a finite `kind` within [low, high], or (low, high] with `open_low`."""

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            what = 'a whole number' if kind is int else 'a number'
            raise argparse.ArgumentTypeError(f'{text!r} is not {what}')
        above = low < value if open_low else low <= value
        if not above or value > high or abs(value) == math.inf:
            least = 'more than' if open_low else 'at least'
            most = '' if math.isinf(high) else f' and at most {high}'
            raise argparse.ArgumentTypeError(f'{text} is out of range: use {least} {low}{most}')
        return value

    return parse


def count(low=1):
    return number(low, kind=int)


def loss_scale(text):
    """`auto`, a number, `dynamic` or `dynamic:START` -> 'auto' or (start, is_dynamic)."""
    if text == 'auto':
        return text
    kind, _, start = text.partition(':')
    if kind == 'dynamic':
        return (number(1.0, LARGEST_FLOAT32)(start) if start else DYNAMIC_START, True)
    return (number(0.0, LARGEST_FLOAT32, open_low=True)(text), False)


def seconds_or_auto(text):
    """`auto`, or a number of seconds, at least 1."""
    return text if text == 'auto' else number(1.0)(text)


def steps(text):
    """'0,10-12' -> [[0, 0], [10, 12]]."""
    ranges = []
    for part in text.split(','):
        match = re.match(r'([0-9]{1,12})(?:-([0-9]{1,12}))?\Z', part.strip())
        first, last = (
            (int(match.group(1)), int(match.group(2) or match.group(1))) if match else (1, 0)
        )
        if last < first:
            raise argparse.ArgumentTypeError(f'{text!r} is no list of steps: use such as 0,10-12')
        ranges.append([first, last])
    return ranges


def retries(text):
    """'5:60' -> [5, 60.0]: how often, and seconds in between; '5' -> [5, 60.0]."""
    times, _, pause = text.partition(':')
    return [count(0)(times), number(0)(pause) if pause else 60.0]


def names(text):
    """'A, B' -> ['A', 'B']."""
    return [name.strip() for name in text.split(',') if name.strip()]


def flag(name, help, default=None, type=str, choices=None, metavar=None, device=None, bare=None):
    """A flag `--name`. bare: its value where none follows; a `boolean` is then true."""
    return Flag(
        name=name,
        help=help,
        default=default,
        type=type,
        choices=choices,
        metavar='BOOL' if type is boolean else metavar,
        device=device,
        bare=True if type is boolean else bare,
    )


def shown_default(value):
    """A default as its help says it, '' where there is none to say."""
    if value is None or value is False or value == '' or value == []:
        return ''
    return f'; default {value:g}' if isinstance(value, float) else f'; default {value}'


def add_group(parser, title, flags, names_only=False):
    """Adds a table of flags to an argparse parser as a group with a title; `--help` has a line for
    each, or only their names.
    """
    listed = ', '.join(f'--{f.name}' for f in flags) if names_only else None
    group = parser.add_argument_group(title, listed)
    for f in flags:
        many = f.choices and len(','.join(f.choices)) > LONGEST_CHOICES
        listed = f'; one of {", ".join(f.choices)}' if many else ''
        only = f'{f.device} only: ' if f.device else ''
        text = only + f.help + listed + shown_default(f.default)
        bare = {} if f.bare is None else {'nargs': '?', 'const': f.bare}
        group.add_argument(
            f'--{f.name}',
            default=f.default,
            help=argparse.SUPPRESS if names_only else text.replace('%', '%%'),
            type=f.type,
            choices=f.choices,
            metavar='NAME' if many else f.metavar or short(f),
            **bare,
        )


def short(f):
    """What stands for the value of a flag: `--seed N`, `--train_dir DIR`; None: its choices."""
    last = f.name.split('_')[-1].upper()
    return None if f.choices else last if f.type is str else 'N'


def add_switch(parser, name, help):
    """A switch of a script's own parser."""
    parser.add_argument(
        name, nargs='?', const=True, default=False, type=boolean, metavar='BOOL', help=help
    )
