"""What is said of a path that is no checkpoint."""

import os

import pytest
import tensorflow as tf

from mobilenet import checkpoints
from mobilenet.errors import UsageError


def save(folder, name, version):
    """A checkpoint by TensorFlow itself, in format V1 or V2."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable('x', [3])
        session.run(tf.compat.v1.global_variables_initializer())
        path = os.path.join(str(folder), name)
        tf.compat.v1.train.Saver(write_version=version).save(session, path)
    return path


def refusal(path):
    with pytest.raises(UsageError) as error:
        checkpoints.resolve(str(path))
    return str(error.value)


def test_the_old_format(tmp_path):
    path = save(tmp_path, 'mobilenet.ckpt', tf.compat.v1.train.SaverDef.V1)
    assert "TensorFlow's old format V1" in refusal(path)
    assert f"{path} is of TensorFlow's old format V1" in refusal(tmp_path)


def test_files_that_were_not_copied(tmp_path):
    path = save(tmp_path, 'mobilenet.ckpt', tf.compat.v1.train.SaverDef.V2)
    assert checkpoints.resolve(path) == path
    os.rename(path + '.index', str(tmp_path / 'kept'))
    assert 'mobilenet.ckpt.index is not: copy it, too' in refusal(path)
    assert 'mobilenet.ckpt.index is not: copy it, too' in refusal(tmp_path)
    assert 'mobilenet.ckpt.index is not' in refusal(path + '.data-00000-of-00001')
    os.rename(str(tmp_path / 'kept'), path + '.index')
    os.remove(path + '.data-00000-of-00001')
    assert 'not all of mobilenet.ckpt.data-*: copy them, too' in refusal(path)
    assert 'not all of mobilenet.ckpt.data-*: copy them, too' in refusal(tmp_path)


@pytest.mark.parametrize(
    'name,words',
    [
        ('mobilenet_v1_1.0_224.tgz', 'is an archive: unpack it first'),
        ('mobilenet_v1.tar.gz', 'is an archive: unpack it first'),
        ('mobilenet_v1.TAR', 'is an archive: unpack it first'),
        ('mobilenet_v1.zip', 'is an archive: unpack it first'),
        ('model.h5', 'Keras'),
        ('model.hdf5', 'Keras'),
        ('model.keras', 'Keras'),
        ('model.pt', 'PyTorch'),
        ('model.pth', 'PyTorch'),
        ('model.tflite', 'TensorFlow Lite'),
        ('model.onnx', 'ONNX'),
        ('notes', 'is no checkpoint'),
    ],
)
@pytest.mark.parametrize('content', [b'', b'short', b'something longer'])
def test_other_files(tmp_path, name, words, content):
    (tmp_path / name).write_bytes(content)
    assert words in refusal(tmp_path / name)
    in_folder = 'no checkpoint in this folder' if name == 'notes' else f'{tmp_path}/{name} '
    assert in_folder in refusal(tmp_path)


def test_one_of_two_data_files(tmp_path, monkeypatch):
    """Told by its place in another folder and in this one."""
    for suffix in ('.index', '.data-00000-of-00002'):
        (tmp_path / ('model.ckpt-1' + suffix)).write_bytes(b'x')
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / 'model.ckpt-1', 'model.ckpt-1'):
        assert f'{path}: model.ckpt-1.index is there, but not all of' in refusal(path)


def test_nothing(tmp_path):
    assert 'no checkpoint in this folder' in refusal(tmp_path)
    assert 'no such checkpoint or folder' in refusal(tmp_path / 'model.ckpt-1')
    assert 'no such checkpoint or folder' in refusal(tmp_path / 'gone' / 'model.ckpt-1')
