"""What the command `set` does to variables."""

import math
import os

import numpy as np

from mobilenet.comparison import dump_reader
from mobilenet.debug.names import split
from mobilenet.errors import UsageError
from mobilenet.state import SCHEDULED


def settable(names, state, name):
    """[(variable, what it is called)] of a name. Raises UsageError where it is none to be set."""
    if name in ('loss_scale', 'learning_rate'):
        return [(state.loss_scale if name == 'loss_scale' else state.rate_override, name)]
    items = names.select(name)
    wrong = split(items).tensors
    if wrong:
        raise UsageError(
            f'{wrong[0].name} is computed: '
            'set loss_scale, learning_rate or a weight:, ema: or slot:'
        )
    return [(i.source, i.name) for i in items]


def change(variable, name, text):
    """A function from a variable's value to the new one. It, and this one, raise UsageError."""
    if name == 'learning_rate' and text == 'schedule':
        return lambda old: np.float32(SCHEDULED)
    if text.endswith('.npy'):
        new = read(text, variable.shape.as_list(), name)
        return checked(name, lambda old: new.astype(old.dtype))
    try:
        number = float(text.lstrip('*'))
    except ValueError:
        raise UsageError(f'{text} is no number: set NAME 0.5, NAME *1.01 or NAME file.npy')
    if text.startswith('*'):
        return checked(name, lambda old: np.asarray(old * np.asarray(number, old.dtype), old.dtype))
    return checked(name, lambda old: np.full(np.shape(old), number, old.dtype))


def checked(name, function):
    """The function, refusing what the run cannot go on with."""

    def of(old):
        new = function(old)
        if name == 'loss_scale' and not 0 < new < math.inf:
            raise UsageError('loss_scale must be above 0, and finite')
        if name == 'learning_rate' and not 0 <= new < math.inf:
            raise UsageError('learning_rate must be 0 or more, and finite')
        return new

    return of


def read(path, shape, name):
    """The array of a .npy file, of that shape. Raises UsageError."""
    try:
        if not os.path.exists(path):
            raise ValueError('no such file')
        found = dump_reader.open_array(path)
        if list(found.shape) != shape:
            raise ValueError(f'shape {list(found.shape)}, {name} has {shape}')
        return np.array(found)
    except ValueError as error:
        raise UsageError(f'{path}: {error}')
