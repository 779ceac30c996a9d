"""Weights of contrib.slim's network, in their three forms, give its logits here; what they are is
told.
"""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import nets, weights
from mobilenet.errors import UsageError
from mobilenet.weights import folding, matching, networks
from tests.helpers import slim_network
from tests.helpers.short_networks import shortened

IMAGES = np.random.RandomState(3).uniform(-1, 1, [3, 64, 64, 3]).astype(np.float32)
CLASSES = 21


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    return slim_network.write(tmp_path_factory.mktemp('published'), IMAGES, CLASSES)


def logits_here(values, model_name='mobilenet_v1_025', fold=None, images=IMAGES, classes=CLASSES):
    """Logits of our network with {name: value}: every variable has to be there."""
    with tf.Graph().as_default(), tf.Session() as sess:
        network = nets.build(model_name, tf.constant(images), classes, False, fold=fold)
        variables = tf.global_variables()
        assert {v.op.name for v in variables} == set(values)
        slim_network.assign(sess, {v: values[v.op.name] for v in variables})
        return sess.run(network.logits)


def assert_logits(ours, wanted, tolerance=1e-5):
    assert np.abs(ours - wanted).max() < tolerance * np.abs(wanted).max()


@pytest.mark.parametrize('kind', ['checkpoint', 'frozen', 'saved_model'])
def test_logits_are_slims(published, kind):
    opened = weights.open_weights(weights.locate(getattr(published, kind)))
    fit = networks.identify(opened)
    assert (fit.model_name, fit.num_classes, fit.folded) == ('mobilenet_v1_025', CLASSES, False)
    values, averaged = matching.network_values(opened, 'mobilenet_v1_025', CLASSES)
    assert averaged == (kind != 'frozen')
    assert_logits(logits_here(values), published.averaged)
    assert opened.step == (425000 if kind != 'frozen' else None)


def test_raw_weights_and_folding(published):
    opened = weights.open_weights(published.checkpoint)
    values, averaged = matching.network_values(opened, 'mobilenet_v1_025', CLASSES, use_ema=False)
    assert not averaged
    assert_logits(logits_here(values), published.raw)
    for fold, depthwise in (('all', True), ('convolutions', False)):
        folded = folding.fold(values, depthwise)
        assert_logits(logits_here(folded, fold=fold), published.raw)
    unfolded = folding.unfold(
        folding.fold(values), networks.variables_of('mobilenet_v1_025', CLASSES)
    )
    assert_logits(logits_here(unfolded), published.raw)


@pytest.mark.parametrize('model_name', ['mobilenet_v2_035', 'mobilenet_v3_small'])
def test_folding_of_the_other_networks(model_name):
    with shortened():
        check_folding(model_name)


def check_folding(model_name):
    with tf.Graph().as_default(), tf.Session() as sess:
        network = nets.build(model_name, tf.constant(IMAGES), 7, False)
        random = slim_network.random_values(tf.global_variables(), 5)
        slim_network.assign(sess, random)
        wanted = sess.run(network.logits)
    values = {v.op.name: value.astype(np.float32) for v, value in random.items()}
    for fold, depthwise in (('all', True), ('convolutions', False)):
        ours = logits_here(folding.fold(values, depthwise), model_name, fold, classes=7)
        assert_logits(ours, wanted)


def test_names_of_the_folder_lead_to_the_weights(published, tmp_path):
    folder = os.path.dirname(published.checkpoint)
    assert weights.locate(folder) == published.checkpoint
    assert weights.locate(os.path.dirname(published.frozen)) == published.frozen
    assert weights.locate(os.path.join(published.saved_model, 'saved_model.pb')) == (
        published.saved_model
    )
    with pytest.raises(UsageError, match='no checkpoint in this folder'):
        weights.locate(str(tmp_path))


def write_graph(path, constants, layer=None):
    """A frozen graph of constants; layer: (features, weights, biases) of a last layer."""
    with tf.Graph().as_default() as graph:
        for name, value in constants.items():
            tf.constant(value, name=name)
        if layer:
            features, kernel, bias = layer
            inputs = tf.placeholder(tf.float32, [None, features])
            kernel = tf.identity(
                tf.constant(kernel, name='final_training_ops/weights/final_weights')
            )
            bias = tf.constant(bias, name='final_training_ops/biases/final_biases')
            tf.add(tf.matmul(inputs, kernel), bias, name='final_training_ops/Wx_plus_b/add')
        with open(path, 'wb') as file:
            file.write(graph.as_graph_def().SerializeToString())


def test_a_retrained_graph_of_another_prefix(published, tmp_path):
    """As TensorFlow's retrain.py leaves it: TF-Hub's prefix, and a new fully connected layer."""
    values, _ = matching.network_values(
        weights.open_weights(published.checkpoint), 'mobilenet_v1_025', CLASSES
    )
    rng = np.random.RandomState(0)
    kernel, bias = rng.normal(size=[256, 5]).astype('f'), rng.normal(size=[5]).astype('f')
    trunk = {'module/' + n: v for n, v in values.items() if '/Logits/' not in n}
    path = str(tmp_path / 'retrained.pb')
    write_graph(path, trunk, (256, kernel, bias))
    opened = weights.open_weights(weights.locate(path))
    fit = networks.identify(opened)
    assert (fit.model_name, fit.num_classes, fit.prefix) == ('mobilenet_v1_025', 5, 'module/')
    ours, _ = matching.network_values(opened, 'mobilenet_v1_025', 5)
    values.update(
        {
            'MobilenetV1/Logits/Conv2d_1c_1x1/weights': kernel[None, None],
            'MobilenetV1/Logits/Conv2d_1c_1x1/biases': bias,
        }
    )
    assert set(ours) == set(values)
    assert all(np.array_equal(ours[name], values[name]) for name in values)


def test_an_object_based_checkpoint(published, tmp_path):
    values, _ = matching.network_values(
        weights.open_weights(published.checkpoint), 'mobilenet_v1_025', CLASSES
    )
    with tf.Graph().as_default(), tf.Session() as sess:
        nets.build('mobilenet_v1_025', tf.constant(IMAGES), CLASSES, False)
        variables = tf.global_variables()
        slim_network.assign(sess, {v: values[v.op.name] for v in variables})
        path = tf.train.Checkpoint(**{f'v{i}': v for i, v in enumerate(variables)}).save(
            str(tmp_path / 'object'), session=sess
        )
    opened = weights.open_weights(path)
    ours, _ = matching.network_values(opened, 'mobilenet_v1_025', CLASSES)
    assert all(np.array_equal(ours[name], values[name]) for name in values)


def test_what_does_not_fit_is_told(published, tmp_path):
    opened = weights.open_weights(published.checkpoint)
    for model_name, classes, words in (
        ('mobilenet_v1', CLASSES, 'holds a mobilenet_v1_025, not --model_name=mobilenet_v1: use'),
        ('mobilenet_v2', CLASSES, 'holds a mobilenet_v1_025'),
        ('mobilenet_v1_025', 10, 'has 21 classes, 10 were wanted'),
    ):
        with pytest.raises(matching.OtherNetwork, match=words):
            matching.network_values(opened, model_name, classes)
    values, _ = matching.network_values(opened, 'mobilenet_v1_025', CLASSES)
    values.pop('MobilenetV1/Conv2d_3_pointwise/weights')
    values['MobilenetV1/Conv2d_0/weights'] = np.zeros([5, 5, 3, 8], 'f')
    path = str(tmp_path / 'odd.pb')
    write_graph(path, values)
    fit = networks.identify(weights.open_weights(path))
    assert fit.model_name is None and fit.nearest == 'mobilenet_v1_025'
    assert fit.differences == [
        'MobilenetV1/Conv2d_0/weights is 5x5x3x8, not 3x3x3x8',
        'no MobilenetV1/Conv2d_3_pointwise/weights',
    ]
    with pytest.raises(matching.OtherNetwork, match='fits no network here: the nearest is'):
        matching.network_values(weights.open_weights(path), 'mobilenet_v1_025', CLASSES)
    write_graph(path, {'resnet/conv1/weights': np.zeros([7, 7, 3, 64], 'f')})
    with pytest.raises(matching.OtherNetwork, match='no variables of a MobileNet'):
        matching.network_values(weights.open_weights(path), 'mobilenet_v1_025', CLASSES)


@pytest.mark.parametrize('kind', ['checkpoint', 'frozen', 'saved_model'])
def test_damaged_files_are_named(published, tmp_path, kind):
    if kind == 'frozen':
        path = str(tmp_path / 'graph.pb')
        cut(published.frozen, path)
    elif kind == 'saved_model':
        path = str(tmp_path)
        cut(os.path.join(published.saved_model, 'saved_model.pb'), path + '/saved_model.pb')
    else:
        path = str(tmp_path / 'model.ckpt-1')
        cut(published.checkpoint + '.index', path + '.index')
        cut(published.checkpoint + '.data-00000-of-00001', path + '.data-00000-of-00001')
    with pytest.raises(weights.BrokenWeights) as error:
        weights.open_weights(weights.locate(path))
    assert path in str(error.value)


def cut(source, target):
    with open(source, 'rb') as file, open(target, 'wb') as out:
        data = file.read()
        out.write(data[: len(data) // 2])


def test_an_empty_file_is_no_graph_and_only_flags_are_named(tmp_path):
    (tmp_path / 'empty.pb').write_bytes(b'')
    with pytest.raises(weights.BrokenWeights, match='it has no graph'):
        weights.open_weights(weights.locate(str(tmp_path / 'empty.pb')))
    with pytest.raises(UsageError, match='^nosuch: no such checkpoint'):
        weights.locate('nosuch', flag=None)
    with pytest.raises(UsageError, match='^--checkpoint_path=nosuch: no such checkpoint'):
        weights.locate('nosuch')


@pytest.mark.filterwarnings('default')
def test_what_is_no_protocol_buffer_is_named_without_a_warning(tmp_path, recwarn):
    # Group 13 ends that never began: protobuf warns of it, and gives what it read so far.
    (tmp_path / 'text.pb').write_text('lower case')
    with pytest.raises(weights.BrokenWeights, match='text.pb cannot .*: Unexpected end-group tag'):
        weights.open_weights(weights.locate(str(tmp_path / 'text.pb')))
    assert not [w for w in recwarn if w.category is RuntimeWarning]


@pytest.mark.parametrize('name', ['net.tflite', 'net.onnx'])
def test_what_others_read_is_no_weights_for_any_command(tmp_path, name):
    (tmp_path / name).write_bytes(b'TFL3')
    with pytest.raises(UsageError, match=f'{name} is for .*: give the checkpoint .* made of$'):
        weights.locate(str(tmp_path / name))


def test_a_folder_of_several_graphs_asks_for_one(published, tmp_path):
    for name in ('a.pb', 'b.pb'):
        shutil.copy(published.frozen, str(tmp_path / name))
    with pytest.raises(UsageError, match='^--checkpoint_path=.* several graphs: .* as a.pb$'):
        weights.locate(str(tmp_path))


@pytest.fixture(scope='module')
def whole_model(tmp_path_factory):
    """A SavedModel of our network, and its graph's bytes."""
    model = str(tmp_path_factory.mktemp('whole') / 'model')
    with tf.Graph().as_default(), tf.Session() as sess:
        images = tf.placeholder(tf.float32, [None, 64, 64, 3])
        network = nets.build('mobilenet_v1_025', images, CLASSES, False)
        graph = tf.get_default_graph().as_graph_def()
        sess.run(tf.global_variables_initializer())
        tf.saved_model.simple_save(sess, model, {'x': images}, {'y': network.logits})
    assert networks.identify(weights.open_weights(model)).model_name == 'mobilenet_v1_025'
    return model, graph.SerializeToString()


@pytest.mark.parametrize('lost', ['variables.index', 'variables.data-00000-of-00001', '.'])
def test_a_saved_model_that_lost_its_variables(whole_model, tmp_path, lost):
    whole, graph = whole_model
    model = str(tmp_path / 'model')
    shutil.copytree(whole, model)
    path = os.path.join(model, 'variables', lost)
    shutil.rmtree(os.path.dirname(path)) if lost == '.' else os.remove(path)
    with pytest.raises(weights.BrokenWeights, match='not all of .*variables/variables.* is there'):
        weights.open_weights(weights.locate(model))
    graph_file = tmp_path / 'not_frozen.pb'
    graph_file.write_bytes(graph)
    with pytest.raises(weights.BrokenWeights, match='without the values of its variables'):
        weights.open_weights(weights.locate(str(graph_file)))


def test_every_network_is_told_by_its_shapes():
    for model_name in nets.MODEL_NAMES:
        shapes = networks.variables_of(model_name, None)
        assert networks.PARAMETERS[model_name] == sum(int(np.prod(s)) for s in shapes.values())
        for folded in (False, True):
            shapes = networks.variables_of(model_name, 12, folded)
            fake = weights.sources.Weights('x', 'checkpoint', shapes, None)
            fit = networks.identify(fake)
            assert (fit.model_name, fit.num_classes, fit.folded) == (model_name, 12, folded)
