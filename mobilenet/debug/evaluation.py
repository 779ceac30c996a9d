"""The values of parsed expressions: numbers and rows of them, by numpy."""

import ast

import numpy as np

from mobilenet.errors import UsageError

CONSTANTS = {'True': True, 'False': False, 'nan': np.nan, 'inf': np.inf}


def _or_nan(function):
    """The function, and NaN for a row of no elements."""
    return lambda x: function(x) if np.size(x) else np.nan


FUNCTIONS = {
    # of all elements: one number
    'finite': lambda x: bool(np.isfinite(x).all()),
    'norm': lambda x: np.sqrt(np.square(x).sum()),
    'mean': _or_nan(np.mean),
    'std': _or_nan(np.std),
    'min': _or_nan(np.min),
    'max': _or_nan(np.max),
    'sum': np.sum,
    'zeros': lambda x: np.mean(np.equal(x, 0)) if np.size(x) else 0.0,  # share of zeros
    'any': lambda x: bool(np.any(x)),
    'all': lambda x: bool(np.all(x)),
    'size': lambda x: int(np.size(x)),
    # of each element
    'abs': np.abs,
    'sqrt': np.sqrt,
    'log10': np.log10,
}
OPERATORS = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


def constant(node):
    """The value of a literal, or None. Its class in the tree depends on Python's version."""
    return node.n if isinstance(node, ast.Num) else getattr(node, 'value', None)


class Evaluation:
    """Walks the tree. A number is a bool, int or float of Python's or numpy's; a row a 1-d array of
    float64 or bool.
    """

    def __init__(self, text, names, lookup):
        self._text, self._names, self._lookup, self._found = text, names, lookup, {}

    def value(self, tree):
        """The whole expression's: a Python float, int or bool."""
        with np.errstate(all='ignore'):
            return self._scalar(self.of(tree))

    def of(self, node):
        if isinstance(node, ast.BoolOp):
            return self._bool_op(node)
        if isinstance(node, ast.UnaryOp):
            if isinstance(node.op, ast.Not):
                return not self._truth(node.operand)
            return self._operate(node.op, self.of(node.operand))
        if isinstance(node, ast.BinOp):
            return self._operate(node.op, self.of(node.left), self.of(node.right))
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.Call):
            return FUNCTIONS[node.func.id](_float64(self.of(node.args[0])))
        if isinstance(node, ast.Name):
            return (
                CONSTANTS[node.id]
                if node.id in CONSTANTS
                else self._named(self._names[int(node.id[2:])])
            )
        return constant(node)

    def _bool_op(self, node):
        """Like Python, does not look at what no longer matters; unlike it, gives a bool."""
        decided = isinstance(node.op, ast.Or)
        return decided if any(self._truth(part) == decided for part in node.values) else not decided

    def _truth(self, node):
        return bool(self._scalar(self.of(node)))

    def _operate(self, op, *operands):
        operands = [_float64(operand) for operand in operands]
        sizes = [operand.size for operand in operands if operand.ndim]
        if len(set(sizes)) > 1:
            raise UsageError(
                '`{}` puts together rows of {} and {} elements'.format(self._text, *sizes)
            )
        return OPERATORS[type(op)](*operands)

    def _compare(self, node):
        values = [self.of(part) for part in [node.left] + node.comparators]
        found = [self._operate(op, *pair) for op, pair in zip(node.ops, zip(values, values[1:]))]
        return np.logical_and.reduce(found) if len(found) > 1 else found[0]

    def _scalar(self, value):
        if np.ndim(value):
            raise UsageError(
                f'`{self._text}` has a value of {np.size(value)} elements where one is needed: use '
                'a function, such as any(…), all(…), max(…) or norm(…)'
            )
        return value.item() if isinstance(value, (np.generic, np.ndarray)) else value

    def _named(self, name):
        if name not in self._found:
            self._found[name] = _row(name, [np.asarray(array) for array in self._lookup(name)])
        return self._found[name]


def _row(name, arrays):
    if not arrays or any(array.dtype.kind not in 'bfiu' for array in arrays):
        raise UsageError(f'{name} is nothing that can be computed with: it has no numbers')
    if len(arrays) == 1 and not arrays[0].ndim:
        return arrays[0].item()
    return np.concatenate([array.reshape(-1).astype(np.float64) for array in arrays])


def _float64(value):
    """An array of float64 without copying one; integers beyond its range are infinite."""
    try:
        return np.asarray(value, np.float64)
    except OverflowError:
        return np.asarray(np.inf if value > 0 else -np.inf)
