"""Names of what can be looked at in a training step.

    act:Conv2d_3_pointwise              the activation of a layer
    grad:Conv2d_0/weights               a gradient as it is applied: unscaled, mean over the ranks
    weight:Conv2d_0/BatchNorm/gamma     a variable of the network, statistics of batch norm included
    ema:… slot:…                        its moving average, the slots of the optimizer
    loss total_loss images labels       of the step
    MobilenetV1/Conv2d_0/Conv2D:0       any tensor of the graph

A layer stands for all that is in it (`grad:Conv2d_0`: three gradients); `*` and `?` match as in
file names; `BatchNorm/` may be left out.
"""

import collections
import difflib
import re

import tensorflow as tf

from mobilenet import patterns
from mobilenet.debug.expressions import PREFIXES
from mobilenet.errors import UsageError
from mobilenet.moving_averages import EMA_SUFFIX

LONGEST_SUGGESTED_FOR = 200  # characters: a longer name is no misspelt one
_UNSEEN_TYPES = ('Const', 'VarHandleOp', 'ReadVariableOp', 'Placeholder')


_Item = collections.namedtuple(
    '_Item', ['name', 'kind', 'layer', 'source', 'of_loss'], defaults=[None]
)


class Item(_Item):
    """What a name stands for. name: as above; kind: its prefix, 'step' or 'tensor'; layer: '' where
    it is of none; source: a tf.Tensor, or a variable; of_loss: of a gradient the tensor that
    tf.gradients made, else None.
    """

    @property
    def is_variable(self):
        return self.kind in ('weight', 'ema', 'slot')

    @property
    def op(self):
        """The op that computes it: of a layer, before what fills its channels up is cut off."""
        op = self.source.op
        return op.inputs[0].op if self.kind == 'act' and op.type == 'StridedSlice' else op

    @property
    def origin(self):
        """The op of the network that it comes from: of a gradient, before it is unscaled, decayed
        and averaged, for which vectors go through ops together, and before it is cut and cast to
        its variable's shape and type.
        """
        if self.of_loss is None:
            return self.op
        op = self.of_loss.op
        while op.type in ('Slice', 'Cast'):  # gradients of layers.filled and of float16 weights
            op = op.inputs[0].op
        return op

    @property
    def short(self):
        """The name without its prefix."""
        return self.name.partition(':')[2]


Split = collections.namedtuple('Split', ['variables', 'tensors'])


def split(items):
    """Items of variables, which can be read at any time, and of tensors, which a step computes."""
    return Split([i for i in items if i.is_variable], [i for i in items if not i.is_variable])


class Names:
    """What a Step at the graph's top level offers, in the order of the network."""

    def __init__(self, step, scope):
        """step: a train_step.Step; scope: the network's variable scope, such as 'MobilenetV1'."""
        self._graph, self._scope, self._layers = step.loss.graph, scope + '/', list(step.end_points)
        with self._graph.as_default():
            variables = [v for v in tf.global_variables() if v.op.name.startswith(self._scope)]
            trained = {v.op.name for v in tf.trainable_variables()}
        found = [
            Item('act:' + layer, 'act', layer, tensor) for layer, tensor in step.end_points.items()
        ]
        found += [
            self._of_variable('grad', *row)
            for row in zip(step.variables, step.gradients, step.loss_gradients)
        ]
        found += [self._of_variable(_kind(v, trained), v, v) for v in variables]
        found += [
            Item(name, 'step', '', getattr(step, name))
            for name in ('images', 'labels', 'loss', 'total_loss')
        ]
        self._items = collections.OrderedDict((item.name, item) for item in found)

    def _of_variable(self, kind, variable, source, of_loss=None):
        short = variable.op.name[len(self._scope) :]
        if kind == 'ema':
            short = short[: -len(EMA_SUFFIX)]
        layer = self._layer_of(short) or short.split('/')[0]
        return Item(f'{kind}:{short}', kind, layer, source, of_loss)

    def _layer_of(self, short):
        return max(
            [layer for layer in self._layers if short.startswith(layer + '/')], key=len, default=''
        )

    def all(self, kind):
        """Items of a kind, in the order of the network."""
        return [item for item in self._items.values() if item.kind == kind]

    def known(self):
        """All names but those of the graph's tensors: for completion."""
        return list(self._items)

    def select(self, pattern):
        """Items of a name, a layer or a pattern. Raises UsageError where there is none."""
        if pattern in self._items:
            return [self._items[pattern]]
        prefix, colon, rest = pattern.partition(':')
        if colon and prefix in PREFIXES:
            found = [item for item in self.all(prefix) if _matches(item.short, rest)]
        else:
            found = self._of_graph(pattern)
        if not found:
            raise UsageError(f'nothing is named {pattern}{self._suggestion(pattern)}')
        return found

    def select_all(self, patterns):
        """Items of several patterns, each once."""
        return list(
            collections.OrderedDict(
                (item.name, item) for p in patterns for item in self.select(p)
            ).values()
        )

    def _of_graph(self, pattern):
        """Tensors, and variables of the network by their whole names."""
        by_variable = [
            item
            for item in self._items.values()
            if item.is_variable and patterns.matches(item.source.op.name, pattern)
        ]
        if by_variable:
            return by_variable
        if not any(c in pattern for c in '*?['):
            return self._one_tensor(pattern)
        return [
            self._of_tensor(t)
            for op in self._graph.get_operations()
            if op.type not in _UNSEEN_TYPES
            for t in op.outputs
            if _can_be_fetched(t)
            and (patterns.matches(t.name, pattern) or patterns.matches(op.name, pattern))
        ]

    def _one_tensor(self, name):
        try:
            tensor = self._graph.get_tensor_by_name(
                name if re.search(r':\d+$', name) else name + ':0'
            )
        except (KeyError, ValueError):
            return []
        if not _can_be_fetched(tensor):
            raise UsageError(
                f'{name} cannot be looked at: it is inside a loop or a branch, or is no array'
            )
        return [self._of_tensor(tensor)]

    def _of_tensor(self, tensor):
        name = tensor.op.name
        layer = self._layer_of(name[len(self._scope) :]) if name.startswith(self._scope) else ''
        return Item(tensor.name, 'tensor', layer, tensor)

    def _suggestion(self, pattern):
        close = difflib.get_close_matches(
            pattern[:LONGEST_SUGGESTED_FOR], list(self._items), 3, 0.5
        )
        if close:
            return ': is it {}?'.format(' or '.join(close))
        return ': names are act:LAYER, grad:…, weight:…, ema:…, slot:…, or SCOPE/OP:0 of the graph'


def _kind(variable, trained):
    if variable.op.name.endswith(EMA_SUFFIX):
        return 'ema'
    return 'slot' if variable.op.name.rsplit('/', 1)[0] in trained else 'weight'


def _matches(name, pattern):
    """Whether the pattern is the name, or a layer that it is in; BatchNorm/ may be left out."""
    return any(
        candidate.startswith(pattern.rstrip('/') + '/') or patterns.matches(candidate, pattern)
        for candidate in (name, name.replace('BatchNorm/', ''))
    )


def _can_be_fetched(tensor):
    return tensor.op._get_control_flow_context() is None and tensor.dtype not in (
        tf.resource,
        tf.variant,
    )
