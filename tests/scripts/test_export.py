"""export.py, predict.py and inspect_checkpoint.py on contrib.slim's network, and on V2 and V3."""

import json
import os
import sys

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

import eval_loop
from mobilenet import nets, weights
from mobilenet.errors import UsageError
from mobilenet.export import formats, onnx
from mobilenet.weights import matching, networks
from scripts import export, inspect_checkpoint, predict
from tests.helpers import slim_network

SIZE, CLASSES = 64, 21
PIXELS = np.random.RandomState(3).randint(0, 256, [3, SIZE, SIZE, 3]).astype(np.uint8)
IMAGES = PIXELS.astype(np.float32) * np.float32(2 / 255.0) - np.float32(1)
COMMON = [f'--image_size={SIZE}', '--preprocessing_name=none']


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    found = slim_network.write(tmp_path_factory.mktemp('published'), IMAGES, CLASSES)
    names = [f'{i}:kind {i}, other name {i}' for i in range(CLASSES)]
    with open(os.path.join(os.path.dirname(found.checkpoint), 'labels.txt'), 'w') as file:
        file.write('\n'.join(names) + '\n')
    return found


def call(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [module.__file__, *map(str, arguments)])
    return module.main()


def difference(ours, wanted):
    return np.abs(ours - wanted).max() / np.abs(wanted).max()


def test_every_format_gives_slims_logits(published, tmp_path, monkeypatch, capsys):
    flags = ['--checkpoint_path', published.checkpoint, '--output_dir', tmp_path, *COMMON]
    call(export, monkeypatch, *flags, '--format=saved_model,frozen,atc,slim,tflite')
    name = str(tmp_path / 'mobilenet_v1_025')
    for run, path, tolerance in (
        (formats.run_saved_model, '_saved_model', 1e-5),
        (formats.run_frozen, '_frozen.pb', 1e-5),
        (formats.run_tflite, '.tflite', 1e-4),
    ):
        assert difference(run(name + path, IMAGES), published.averaged) < tolerance
    out = capsys.readouterr().out
    assert f'--input_shape="input:1,{SIZE},{SIZE},3" --out_nodes=' in out
    assert out.count('logits as of the checkpoint') == 5
    # The slim checkpoint is the one it came from, less the optimizer.
    ours, theirs = (tf.train.load_checkpoint(p) for p in (name + '.ckpt', published.checkpoint))
    assert ours.get_variable_to_shape_map() == theirs.get_variable_to_shape_map()
    for tensor in ours.get_variable_to_shape_map():
        np.testing.assert_array_equal(ours.get_tensor(tensor), theirs.get_tensor(tensor))
    with open(str(tmp_path / 'labels.txt')) as file:
        assert file.read().startswith('0:kind 0, other name 0\n1:')


def test_folded_and_of_bytes(published, tmp_path, monkeypatch):
    flags = ['--checkpoint_path', published.checkpoint, '--output_dir', tmp_path, *COMMON]
    call(export, monkeypatch, *flags, '--fold', '--input=bytes', '--format=frozen,saved_model')
    path = str(tmp_path / 'mobilenet_v1_025_frozen.pb')
    files = []
    for i, image in enumerate(PIXELS):
        Image.fromarray(image).save(str(tmp_path / f'{i}.png'))
        files.append((tmp_path / f'{i}.png').read_bytes())
    assert difference(formats.run_frozen(path, files), published.averaged) < 1e-4
    opened = weights.open_weights(path)
    assert networks.identify(opened).folded
    values, _ = matching.network_values(opened, 'mobilenet_v1_025', CLASSES)
    assert len(values) == 137  # it can be read again
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.saved_model.load(sess, ['serve'], str(tmp_path / 'mobilenet_v1_025_saved_model'))
        assert sess.run('class_names:0')[20] == b'kind 20, other name 20'
    saved_model = weights.open_weights(str(tmp_path / 'mobilenet_v1_025_saved_model'))
    assert saved_model.class_names[3] == 'kind 3, other name 3'


@pytest.mark.parametrize('model_name', ['mobilenet_v2_035', 'mobilenet_v3_small'])
def test_the_other_networks(model_name, tmp_path, monkeypatch):
    with tf.Graph().as_default(), tf.Session() as sess:
        network = nets.build(model_name, tf.constant(IMAGES), 7, False)
        slim_network.assign(sess, slim_network.random_values(tf.global_variables(), 5))
        wanted = sess.run(network.logits)
        path = tf.train.Saver().save(sess, str(tmp_path / 'model.ckpt'), write_meta_graph=False)
    flags = ['--checkpoint_path', path, '--output_dir', tmp_path / 'out', *COMMON]
    call(export, monkeypatch, *flags, '--format=frozen,atc,tflite', '--atc_layout=NCHW')
    name = str(tmp_path / 'out' / model_name)
    assert difference(formats.run_frozen(name + '_frozen.pb', IMAGES), wanted) < 1e-5
    assert difference(formats.run_tflite(name + '.tflite', IMAGES), wanted) < 1e-4
    one = formats.run_frozen(name + '_atc.pb', IMAGES[:1].transpose(0, 3, 1, 2))
    assert difference(one, wanted[:1]) < 1e-5


def test_onnx(published, tmp_path, monkeypatch):
    default = next(f.default for f in export.OUTPUT if f.name == 'onnx_env')
    if not os.path.exists(os.path.join(default, 'installed')):
        pytest.skip(f'no tf2onnx in {default}: scripts/export.py --format onnx installs it')
    flags = ['--checkpoint_path', published.checkpoint, '--output_dir', tmp_path, *COMMON]
    call(export, monkeypatch, *flags, '--format=onnx')
    python = onnx.environment(default)
    path = str(tmp_path / 'mobilenet_v1_025.onnx')
    logits = onnx.run(path, IMAGES, python, str(tmp_path))
    assert difference(logits, published.averaged) < 1e-4


@pytest.mark.parametrize('kind', ['checkpoint', 'frozen', 'saved_model'])
def test_predict(published, tmp_path, monkeypatch, capsys, kind):
    paths = [str(tmp_path / f'{i}.png') for i in range(3)]
    for path, image in zip(paths, PIXELS):
        Image.fromarray(image).save(path)
    labels = os.path.join(os.path.dirname(published.checkpoint), 'labels.txt')
    named = [] if kind == 'checkpoint' else ['--class_names', labels]
    flags = ['--checkpoint_path', getattr(published, kind), *COMMON, *named]
    call(predict, monkeypatch, *flags, '--sheet', tmp_path / 'sheet.png', '--json', *paths)
    answers = json.loads(capsys.readouterr().out)
    exponents = np.exp(published.averaged - published.averaged.max(1, keepdims=True))
    wanted = exponents / exponents.sum(1, keepdims=True)
    assert [answer['image'] for answer in answers] == paths
    for answer, row in zip(answers, wanted):
        order = np.argsort(-row)[:5]
        assert [entry['class'] for entry in answer['top']] == order.tolist()
        assert [e['name'] for e in answer['top']] == [f'kind {i}, other name {i}' for i in order]
        assert [e['probability'] for e in answer['top']] == pytest.approx(row[order], rel=1e-4)
    assert Image.open(str(tmp_path / 'sheet.png')).width > 3 * SIZE


def test_inspect(published, monkeypatch, capsys):
    assert not call(inspect_checkpoint, monkeypatch, published.checkpoint)
    out = capsys.readouterr().out
    assert 'checkpoint of step 425000, --model_name=mobilenet_v1_025, 21 classes' in out
    assert '137 tensors of the network, 223,941 numbers; 138 other' in out
    line = next(x for x in out.splitlines() if x.startswith('MobilenetV1/Conv2d_13_pointwise/we'))
    assert line.split()[1:] == ['1x1x256x256', '65,536', 'EMA']


def test_wrong_use_is_told_before_any_work(tmp_path, capsys):
    for text in ('', ',', 'frozn'):
        with pytest.raises(SystemExit) as ended:
            export.parse(['--checkpoint_path', str(tmp_path), f'--format={text}'])
        assert ended.value.code == 2 and 'is no format: use some of' in capsys.readouterr().err
    with pytest.raises(UsageError, match='--sheet=.* is a folder'):
        predict.parse(['a.png', '--checkpoint_path', str(tmp_path), '--sheet', str(tmp_path)])
    with pytest.raises(UsageError, match='--sheet=.* has to end with .png'):
        sheet = str(tmp_path / 'sheet.jpg')
        predict.parse(['a.png', '--checkpoint_path', str(tmp_path), '--sheet', sheet])


def test_an_export_is_used_at_the_size_it_was_made_for(published, tmp_path, monkeypatch):
    (tmp_path / 'config.json').write_text('{"train_dir": "results", "image_size": 48}')
    for folder in (tmp_path, tmp_path / 'new'):
        flags = ['--checkpoint_path', published.checkpoint, '--output_dir', folder, *COMMON]
        call(export, monkeypatch, *flags, '--format=saved_model,frozen')
    for path in ('mobilenet_v1_025_frozen.pb', 'mobilenet_v1_025_saved_model'):
        path = str(tmp_path / 'new' / path)
        args = predict.parse(['a.png', '--checkpoint_path', path])
        assert (args.image_size, args.preprocessing_name) == (SIZE, 'none')
        args = eval_loop.parse(['--checkpoint_path', path, '--dataset_name=digits'])
        assert (args.image_size, args.preprocessing_name) == (SIZE, 'none')
    # A run's own is left alone.
    assert json.loads((tmp_path / 'config.json').read_text())['image_size'] == 48
