"""Paths without characters that mean something to TensorFlow, and good only while they are needed.
That TensorFlow takes them: test_store.py, whose folder has an odd name.
"""

import os
import re
import shutil

import pytest

from mobilenet.checkpoints import alias
from tests.mobilenet.checkpoints.test_files import ONE_SHARD, put

ODD = os.fsdecode(b'a [b] * {c}? \xe4\xbd\xa0 \xff')


def is_plain(path):
    return re.match(r'[A-Za-z0-9_./-]+\Z', path) is not None


def open_files():
    return len(os.listdir('/proc/self/fd'))


def test_a_folder_of_any_name(tmp_path):
    folder = tmp_path / ODD
    folder.mkdir()
    before = open_files()
    with alias.folder_for_tensorflow(str(folder)) as plain:
        assert is_plain(plain) and os.path.samefile(plain, str(folder))
        with open(f'{plain}/new', 'w') as f:
            f.write('x')
    assert os.listdir(str(folder)) == ['new'] and open_files() == before


def test_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with alias.folder_for_tensorflow('') as plain:
        assert os.path.samefile(plain, str(tmp_path))


def test_a_folder_is_let_go_after_an_error_and_a_file_is_none(tmp_path):
    before = open_files()
    with pytest.raises(KeyError):
        with alias.folder_for_tensorflow(str(tmp_path)):
            raise KeyError
    assert open_files() == before
    (tmp_path / 'file').write_text('x')
    with pytest.raises(NotADirectoryError):
        with alias.folder_for_tensorflow(str(tmp_path / 'file')):
            pass


@pytest.mark.parametrize('name', ['model.ckpt-1', 'a_B.c-9', ODD, 'a b', 'x[1]', 'é', 'a*'])
@pytest.mark.parametrize('relative', [False, True])
def test_a_checkpoint_of_any_name(tmp_path, monkeypatch, name, relative):
    """What lies at the plain prefix is the checkpoint, whole, and nothing is left of it."""
    monkeypatch.setattr(alias.tempfile, 'tempdir', str(tmp_path / 'temporary'))
    (tmp_path / 'temporary').mkdir()
    folder = tmp_path / ODD
    prefix = put(folder, name)
    monkeypatch.chdir(folder)
    before = open_files()
    with alias.readable(name if relative else prefix) as plain:
        assert is_plain(plain)
        for suffix in ONE_SHARD:
            assert os.path.samefile(plain + suffix, prefix + suffix)
        links = os.listdir(str(tmp_path / 'temporary'))
        assert bool(links) != is_plain(name), 'links only where the name needs them'
        assert all(link.startswith('mobilenet_checkpoint_') for link in links)
    assert open_files() == before and os.listdir(str(tmp_path / 'temporary')) == []
    assert sorted(os.listdir(str(folder))) == sorted(name + suffix for suffix in ONE_SHARD)


def test_links_that_somebody_else_removed(tmp_path):
    with alias.readable(put(tmp_path, 'a b')) as plain:
        shutil.rmtree(os.path.dirname(plain))
