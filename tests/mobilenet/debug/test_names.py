"""What names stand for in a small graph, and whatever else a person may type."""

import collections
import inspect

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
import tensorflow as tf

from mobilenet import nets
from mobilenet.debug import graph_walk
from mobilenet.debug.names import Item, Names, split
from mobilenet.errors import UsageError
from mobilenet.nets import layers

Step = collections.namedtuple(
    'Step', 'images labels end_points loss total_loss variables gradients loss_gradients'
)
ALL = [
    'act:Conv2d_0',
    'act:Conv2d_1',
    'act:Conv2d_10',
    'grad:Conv2d_0/weights',
    'grad:Conv2d_0/BatchNorm/gamma',
    'grad:Conv2d_10/weights',
]


@pytest.fixture(scope='module')
def names():
    with tf.Graph().as_default():
        images, labels = tf.placeholder(tf.float32, [2, 3], 'images'), tf.constant([0, 1])
        with tf.variable_scope('MobilenetV1'):
            variables = [
                variable(name) for name in ('Conv2d_0/weights', 'Conv2d_0/BatchNorm/gamma')
            ] + [variable('Conv2d_10/weights')]
            variable('Conv2d_0/BatchNorm/moving_mean', trainable=False)
            variable('Conv2d_0/weights/ExponentialMovingAverage', trainable=False)
            variable('Conv2d_0/weights/Momentum', trainable=False)
            end_points = collections.OrderedDict(
                (layer, tf.identity(images, layer + '/Relu'))
                for layer in ('Conv2d_0', 'Conv2d_1', 'Conv2d_10')
            )
            inside = tf.while_loop(lambda i: i < 3, lambda i: tf.add(i, 1, 'inside'), [0])
        loss = tf.reduce_sum(images, name='loss') + tf.cast(inside, tf.float32)
        gradients = [tf.identity(v.read_value()) for v in variables]
        step = Step(images, labels, end_points, loss, loss * 2, variables, gradients, gradients)
        yield Names(step, 'MobilenetV1')


def variable(name, trainable=True):
    return tf.get_variable(name, [3], trainable=trainable, use_resource=True)


@pytest.mark.parametrize(
    'pattern,found',
    [
        ('act:Conv2d_1', ['act:Conv2d_1']),
        ('act:Conv2d_1*', ['act:Conv2d_1', 'act:Conv2d_10']),
        ('act:*', ALL[:3]),
        ('grad:Conv2d_0', ALL[3:5]),
        ('grad:Conv2d_0/gamma', ['grad:Conv2d_0/BatchNorm/gamma']),
        ('weight:Conv2d_0/moving_*', ['weight:Conv2d_0/BatchNorm/moving_mean']),
        ('ema:*', ['ema:Conv2d_0/weights']),
        ('slot:*', ['slot:Conv2d_0/weights/Momentum']),
        ('loss', ['loss']),
        ('MobilenetV1/Conv2d_10/weights', ['weight:Conv2d_10/weights']),
        ('MobilenetV1/Conv2d_1/Relu:0', ['MobilenetV1/Conv2d_1/Relu:0']),
        ('MobilenetV1/*/Relu', [f'MobilenetV1/{layer[4:]}/Relu:0' for layer in ALL[:3]]),
    ],
)
def test_a_name_a_layer_and_a_pattern(names, pattern, found):
    assert [item.name for item in names.select(pattern)] == found


def test_items_are_of_variables_or_of_the_step(names):
    variables, tensors = split(
        names.select_all(['weight:*', 'grad:*', 'loss', 'act:*', 'weight:*'])
    )
    assert [i.short for i in variables] == [
        'Conv2d_0/weights',
        'Conv2d_0/BatchNorm/gamma',
        'Conv2d_10/weights',
        'Conv2d_0/BatchNorm/moving_mean',
    ]
    assert [i.name for i in tensors] == ALL[3:] + ['loss'] + ALL[:3]
    assert {i.layer for i in tensors if i.kind == 'grad'} == {'Conv2d_0', 'Conv2d_10'}


def test_what_is_in_a_loop_or_nowhere(names):
    with pytest.raises(UsageError, match='inside a loop or a branch'):
        names.select('MobilenetV1/while/inside')
    with pytest.raises(UsageError, match='is it act:Conv2d_0'):
        names.select('act:Conv2d_00')


TYPED = st.lists(
    st.sampled_from(
        ['act:', 'grad:', 'weight:', 'Conv2d_0', '*', '?', '[', ']', '!', '/', ':', ':0', '^', '\0']
        + ['MobilenetV1/', '99999999999999999999', '-1', '\n', '²', '\udcff', 'x' * 5000]
    ),
    max_size=6,
).map(''.join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(TYPED, st.text()))
def test_whatever_is_typed_is_found_or_our_own_error(names, text):
    try:
        assert names.select(text)
    except UsageError:
        pass


def test_between_layers_whose_channels_are_filled_up_lie_the_ops_of_one_layer():
    types = {}
    for block in (1, 16):
        with tf.Graph().as_default():
            images = tf.zeros([1, 96, 96, 3])
            net = nets.build('mobilenet_v1_025', images, 7, training=True, block=block)
            items = [Item('act:' + n, 'act', n, t) for n, t in net.end_points.items()]
            boundary = {item.op for item in items}
            types[block] = {
                item.name: [
                    op['type'] for op in graph_walk.ops_before(item.op, boundary - {item.op})
                ]
                for item in items
            }
    assert types[1]['act:Conv2d_1_pointwise'] == ['Conv2D', 'FusedBatchNormV3', 'Relu6']
    unfilled = {
        name: [t for t in found if t not in ('Pad', 'PadV2')] for name, found in types[16].items()
    }
    assert unfilled == types[1]


@pytest.mark.parametrize('dtype', [tf.float32, tf.float16])
@pytest.mark.parametrize(
    'model_name', ['mobilenet_v1_025', 'mobilenet_v2_035', 'mobilenet_v3_small_075']
)
def test_a_gradient_is_of_the_line_that_uses_its_variable(model_name, dtype):
    """With channels filled up and weights cast too: not of the line that fills up or casts."""
    functions = {
        'weights': layers.conv2d,
        'depthwise_weights': layers.depthwise_conv2d,
        'biases': layers.add_biases,
        'gamma': layers.batch_norm,
        'beta': layers.batch_norm,
    }
    with tf.Graph().as_default():
        images = tf.zeros([1, 32, 32, 3])
        net = nets.build(model_name, images, 7, training=True, compute_dtype=dtype, block=16)
        variables = tf.trainable_variables()
        found = [
            (v.op.name.split('/')[-1], Item('grad', 'grad', '', g, g).origin)
            for v, g in zip(variables, tf.gradients(tf.reduce_sum(net.logits), variables))
        ]
    for kind, origin in found:
        code, first = inspect.getsourcelines(functions[kind])
        path, line = graph_walk.source_of(origin).split()[0].split(':')
        assert path == 'mobilenet/nets/layers.py' and first <= int(line) < first + len(code)
