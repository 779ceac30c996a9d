"""Expressions over what a training step holds: the language of the stepper's `until EXPR` and
`watch EXPR`.

    loss > 9                    figures of the run: loss, global_step, skipped_steps, …
    not finite(grad:Conv2d_0)   act: grad: weight: ema: slot: of a layer, a variable, a pattern
    max("MobilenetV1/Conv2d_0/Conv2D:0") > 5
                                in quotes: a tensor of the graph, or a name with odd letters in it
    norm(grad:Conv2d_0/weights) / norm(weight:Conv2d_0/weights) > 0.1
    any(act:Logits > 20) and 0 < loss < 1

Operators: + - * / ** %, comparisons (chained too), and or not, parentheses. Functions: see
FUNCTIONS. Constants: numbers, True, False, nan, inf. After act: and the like `-`, `*` and `/`
belong to the name when they touch it: to divide, leave a space before the `/`.

A name that stands for several tensors (a layer has several gradients) is all their elements in one
row. Numbers are computed in float64; a division by zero gives inf or nan. A comparison with a NaN
is false, and max of a row with a NaN in it is NaN: ask `not finite(…)` for those. numpy only.
"""

import ast
import collections
import keyword
import re

from mobilenet.debug.evaluation import CONSTANTS, FUNCTIONS, OPERATORS, Evaluation, constant
from mobilenet.errors import UsageError

PREFIXES = ('act', 'grad', 'weight', 'ema', 'slot')
# No formula is so long, and Python's parser has its limits.
LONGEST = 2000  # characters
DEEPEST = 50  # nested operators, parentheses

_NAME = r'(?:{}):[A-Za-z0-9_./*?-]*'.format('|'.join(PREFIXES))
_TOKENS = re.compile(
    rf"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<name>{_NAME})|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|"""
    r"""(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|"""
    r"""(?P<operator>\*\*|==|!=|<=|>=|[-+*/%<>(),])|(?P<odd>\S))"""
)
_ENDS_ODDLY = re.compile(r'(?:[/.:-]|\*\*.*|[/*-]\d+\.?\d*(?:[eE]-?\d+)?)$')
_DIVIDE = ' (leave a space before a -, * or / that is an operator, or put the name in quotes)'
_INSTEAD = {
    '=': ': == compares',
    '&': ': it is `and`',
    '|': ': it is `or`',
    '!': ': it is `not`',
    '^': ': it is `**`',
    '[': ': functions look at all elements',
    '.': ': names with dots go in quotes',
    '"': ': the quote is not closed',
    "'": ': the quote is not closed',
    ':': ': names are act:… grad:… weight:… ema:… slot:…, and tensors of the graph go in quotes',
}


class Expression:
    """A parsed expression. text: as given; names: list of the names in it, each once, in order."""

    def __init__(self, text, names, tree):
        self.text, self.names, self._tree = text, names, tree

    def value(self, lookup):
        """A Python float, int or bool.

        lookup: a function from a name to a list of numbers or arrays; a single one without
        dimensions is a number, others make one flat row. Called only for names whose value matters,
        once each. Raises UsageError where the value is a row, rows of unequal length meet, or a
        name is not numeric; and what lookup raises.
        """
        return Evaluation(self.text, self.names, lookup).value(self._tree)


def parse(text):
    """The Expression of a text. Raises UsageError that says in one line what is wrong, with an
    example.
    """
    text = ' '.join(text.split())
    if not text:
        raise _unreadable(text, 'it is empty')
    if len(text) > LONGEST:
        raise _unreadable(text, f'it is longer than {LONGEST} characters')
    tokens, names = _tokens(text)
    tree = _tree(text, tokens)
    _check(tree, text)
    return Expression(text, list(names), tree)


def text_of(value):
    """A value as it is shown: True, 12, 0.123456789."""
    return f'{value:.9g}' if isinstance(value, float) else str(value)


def _unreadable(text, reason):
    shown = text if len(text) <= 100 else text[:97] + '…'
    return UsageError(
        f'cannot read the expression `{shown}`: {reason}; for instance: loss > 9 or not '
        'finite(grad:Conv2d_0)'
    )


# ---- from text to Python's tree


def _tokens(text):
    """([Python's spelling of each token], OrderedDict of names): the i-th name is spelled __i."""
    matches = list(_TOKENS.finditer(text))
    tokens, names = [], collections.OrderedDict()
    for match, after in zip(matches, matches[1:] + [None]):
        kind, token = match.lastgroup, match.group(match.lastgroup)
        called = after is not None and after.group().strip() == '('
        if kind == 'odd':
            raise _unreadable(text, 'unexpected {}{}'.format(token, _INSTEAD.get(token, '')))
        if kind == 'name' and (_ENDS_ODDLY.search(token) or called):
            raise _unreadable(
                text, '{}{} is no name{}'.format(token, '(' if called else '', _DIVIDE)
            )
        if kind == 'quoted':
            kind, token = 'name', token[1:-1].strip()
        elif kind == 'word':
            kind = _kind_of_word(text, token, called)
        if kind == 'name':
            token = names.setdefault(token, f'__{len(names)}')
        tokens.append(token)
    return tokens, names


def _kind_of_word(text, word, called):
    """'name', or 'word' for what the language itself knows."""
    if word in ('and', 'or', 'not') or word in CONSTANTS:
        return 'word'
    if called:
        if word not in FUNCTIONS:
            raise _unreadable(
                text, 'no function {}; there are {}'.format(word, ', '.join(sorted(FUNCTIONS)))
            )
        return 'word'
    if word in FUNCTIONS:
        raise _unreadable(text, f'{word} is a function: {word}(…)')
    if keyword.iskeyword(word) or word.startswith('__'):
        raise _unreadable(text, f'{word} is not of this language')
    return 'name'


def _tree(text, tokens):
    depth = deepest = 0
    for token in tokens:
        depth += (token == '(') - (token == ')')
        deepest = max(deepest, depth)
    if deepest > DEEPEST:  # Python's parser would say so on stderr
        raise _unreadable(text, 'it is nested too deeply')
    if tokens.count('(') != tokens.count(')'):
        raise _unreadable(text, '{} ( and {} )'.format(tokens.count('('), tokens.count(')')))
    try:
        return ast.parse(' '.join(tokens), mode='eval').body
    except SyntaxError as error:
        # Python says where the token ends that it did not expect, and of an early end: where the
        # last token ends.
        before = len(' '.join(tokens)[: error.offset or 1].split()) - 1
        if tokens[-1] in ('and', 'or', 'not') or not re.search(r'[\w.)]$', tokens[-1]):
            where = 'at the end'
        else:
            where = f'after `{_beginning(text, before)}`' if before else 'at its start'
        raise _unreadable(text, f'something is missing or too much {where}')
    except (ValueError, MemoryError, RecursionError, OverflowError):
        raise _unreadable(text, 'it is nested too deeply')


def _beginning(text, count):
    """The text's first `count` tokens."""
    return text[: list(_TOKENS.finditer(text))[count - 1].end()].strip()


def _check(node, text, depth=0):
    """Refuses every kind of node that is not of the language."""
    if depth > DEEPEST:
        raise _unreadable(text, 'it is nested too deeply')
    if isinstance(node, ast.BoolOp):
        parts = node.values
    elif isinstance(node, ast.UnaryOp):
        parts = [node.operand]
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        parts = [node.left, node.right]
    elif isinstance(node, ast.Compare) and all(type(op) in OPERATORS for op in node.ops):
        parts = [node.left] + node.comparators
    elif (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
    ):
        if len(node.args) != 1 or node.keywords:
            raise _unreadable(text, f'{node.func.id} takes one argument')
        parts = node.args
    elif isinstance(node, ast.Name) or isinstance(constant(node), (int, float)):
        parts = []
    else:
        raise _unreadable(text, f'{type(node).__name__.lower()} is not of this language')
    for part in parts:
        _check(part, text, depth + 1)
