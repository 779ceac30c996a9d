"""precision_mode: which ops compute in float16, as roundings of what goes in and comes out.

The device's cube unit takes float16 and adds up in float32: the same as rounding the inputs,
computing in float32 and rounding the result. Ops inside a keep_dtype_scope are left alone.
"""

import tensorflow as tf

from npu_bridge.sim.late_reads import writes
from npu_bridge.sim.nodes import text

CUBE = frozenset(
    (
        'Conv2D',
        'Conv2DBackpropInput',
        'Conv2DBackpropFilter',
        'DepthwiseConv2dNative',
        'DepthwiseConv2dNativeBackpropInput',
        'DepthwiseConv2dNativeBackpropFilter',
        'MatMul',
        'BatchMatMul',
        'BatchMatMulV2',
    )
)
# They hand a value on, and do not compute.
MOVES = frozenset(
    'Const Identity Reshape Squeeze ExpandDims Switch Merge ReadVariableOp IteratorGetNext '
    'Placeholder PlaceholderWithDefault VarHandleOp Slice StridedSlice Split SplitV ConcatV2 Pack '
    'Unpack Tile Pad '
    'Select ZerosLike OnesLike Fill StopGradient PreventGradient Enter Exit NextIteration'.split()
)
# Mode -> (which ops, rounded to, their results rounded too).
_MODES = {
    'allow_fp32_to_fp16': ('without_float32', tf.float16, True),
    'force_fp16': ('all', tf.float16, True),
    'allow_mix_precision': ('cube', tf.float16, True),
    'allow_mix_precision_fp16': ('cube', tf.float16, True),
    'allow_mix_precision_bf16': ('cube', tf.bfloat16, True),
    'allow_fp32_to_bf16': ('without_float32', tf.bfloat16, True),
    'cube_fp16in_fp32out': ('cube', tf.float16, False),
    'must_keep_origin_dtype': None,
    'force_fp32': None,
}
MODES = tuple(_MODES)
LARGEST = 65504.0


class Unsupported(Exception):
    """An op has no kernel in the types that the mode leaves."""


def lowers(mode, ops, has_float32_convolutions):
    """Whether any of the ops would compute in lower precision. Raises Unsupported."""
    if mode == 'must_keep_origin_dtype' and not has_float32_convolutions:
        cube = [op for op in ops if op.type in CUBE and _is_float(op.outputs[0])]
        if cube:
            raise Unsupported(f'{cube[0].name} ({cube[0].type}) has no float32 kernel here')
    return any(_is_lowered(op, mode, has_float32_convolutions) for op in ops)


def apply(nodes, order, mode, has_float32_convolutions, saturate):
    """Puts the roundings into `nodes`; gives [(tensor before it saturates, op that made it)]."""
    rounding = _Rounding(nodes, _MODES[mode][1], saturate)
    for op in order.ops:
        if not _is_lowered(op, mode, has_float32_convolutions):
            continue
        for index, tensor in enumerate(op.inputs):
            if _is_float(tensor):
                rounding.use(op, index, tensor)
        if writes(op):
            continue  # its value was rounded; the variable itself stays float32
        for output in used_outputs(op) if _MODES[mode][2] else ():
            if _is_float(output):
                for consumer in output.consumers():
                    if consumer.name in nodes.ops:
                        for index, tensor in enumerate(consumer.inputs):
                            if tensor is output:
                                rounding.use(consumer, index, output)
                nodes.fetched.setdefault(text(output), rounding.of(text(output), op))
    return rounding.before


class _Rounding:
    def __init__(self, nodes, dtype, saturate):
        self._nodes, self._dtype, self._saturate = nodes, dtype, saturate
        self._rounded, self.before = {}, []

    def use(self, op, index, tensor):
        given = self._nodes.by_name[op.name].input[index]
        if not given.startswith('npu_rounded/'):
            self._nodes.replace(op, index, self.of(given, tensor.op))

    def of(self, tensor, op):
        """The tensor rounded, by one chain of ops whoever asks."""
        if tensor not in self._rounded:
            name = 'npu_rounded/' + tensor.replace(':', '_')
            add = self._nodes.add
            low = add('Cast', name + '/low', [tensor], SrcT=tf.float32, DstT=self._dtype)
            rounded = add('Cast', name, [low], SrcT=self._dtype, DstT=tf.float32)
            self.before.append((rounded, op))
            if self._saturate:
                bounds = [
                    self._nodes.constant(f'{name}/{end}', value, tf.float32)
                    for end, value in (('least', -LARGEST), ('largest', LARGEST))
                ]
                rounded = add('ClipByValue', name + '/saturated', [rounded] + bounds, T=tf.float32)
            self._rounded[tensor] = rounded
        return self._rounded[tensor]


def used_outputs(op):
    """An op's outputs but for the scratch space of batch norm and its gradient."""
    return op.outputs[:3] if op.type.startswith('FusedBatchNorm') else op.outputs


def _is_lowered(op, mode, has_float32_convolutions):
    if _MODES[mode] is None or _keeps(op):
        return False
    which = _MODES[mode][0]
    if which == 'all':
        floats = [t for t in list(op.inputs) + list(op.outputs) if _is_float(t)]
        return bool(floats) and op.type not in MOVES
    return op.type in CUBE and (which == 'cube' or not has_float32_convolutions)


def _keeps(op):
    try:
        return op.get_attr('_keep_dtype') == 1
    except ValueError:
        return False


def _is_float(tensor):
    return tensor.dtype.base_dtype == tf.float32 and not tensor.dtype._is_ref_dtype
