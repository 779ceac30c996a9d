"""Channels filled up to whole blocks: wider inside, the same network outside."""

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import nets
from tests.helpers import short_networks


def trained(model_name, block, is_frozen):
    """({name: value}, {end point: value}, widths of the batch norms) of one backward pass."""
    images = np.random.RandomState(0).uniform(-1, 1, [4, 48, 48, 3]).astype(np.float32)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.set_random_seed(3)
        x = tf.placeholder(tf.float32, images.shape)  # a constant's network would be folded
        net = nets.build(model_name, x, 7, True, block=block, is_frozen=is_frozen)
        loss = tf.reduce_sum(tf.sin(net.logits))
        variables = tf.trainable_variables()
        values = {v.op.name: v for v in net.variables}
        values.update(
            ('gradient of ' + v.op.name, g)
            for v, g in zip(variables, tf.gradients(loss, variables))
            if g is not None
        )
        values.update(('new ' + v.op.name, value) for v, value in net.batch_norm_statistics)
        session.run(tf.global_variables_initializer())
        values, points = session.run([values, dict(net.end_points)], {x: images})
        norms = [op for op in graph.get_operations() if op.type == 'FusedBatchNormV3']
        return values, points, [op.inputs[0].shape[-1].value for op in norms]


@pytest.mark.parametrize(
    'model_name', ['mobilenet_v1_025', 'mobilenet_v2_035', 'mobilenet_v3_small']
)
@pytest.mark.parametrize('is_frozen', [lambda name: False, lambda name: '_1' in name])
def test_numbers_and_shapes_are_those_without_the_filling(model_name, is_frozen):
    with short_networks.shortened():
        values, points, own = trained(model_name, 1, is_frozen)
        filled_values, filled_points, wide = trained(model_name, 16, is_frozen)
    assert any(width % 16 for width in own)
    assert wide == [-(-width // 16) * 16 for width in own]
    assert list(values) == list(filled_values) and list(points) == list(filled_points)
    # What stands before a batch norm has a gradient of 0 but for what rounding leaves.
    steepest = max(np.abs(v).max() for name, v in values.items() if name.startswith('gradient'))
    for name, value in list(values.items()) + list(points.items()):
        filled = filled_values.get(name, filled_points.get(name))
        assert filled.shape == value.shape, name
        error = np.abs(filled - value).max()
        assert error < 1e-4 * np.abs(value).max() + 1e-5 * steepest, (name, error)
