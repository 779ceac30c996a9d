"""A small data set, and a cache of its own for each test."""

import pytest

from tests.helpers.data_files import write_numbered


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """TFRecords of 7, 5 and 11 records in each split, numbered by their labels."""
    path = tmp_path_factory.mktemp('numbered')
    for split in ('train', 'validation'):
        write_numbered(path, split, (7, 5, 11))
    return str(path)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
