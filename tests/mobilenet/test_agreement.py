"""Ranks that were started differently: threads stand for ranks, a barrier for the collective."""

import threading

import pytest

from mobilenet import agreement
from mobilenet.errors import UsageError
from mobilenet.ranks import GATHERED_BYTES

FLAGS = {'learning_rate': 0.1, 'seed': 3, 'train_dir': '/a', 'names': ['x'] * 99}
DATA = {'records': 100, 'class_names': [f'n{i}' for i in range(1000)]}


def outcome(per_rank):
    """The message (or None) that each rank ends with, of a list of items of each."""
    table, barrier = [None] * len(per_rank), threading.Barrier(len(per_rank), timeout=120)
    said = [None] * len(per_rank)

    def rank(number):
        def gather(data):
            assert len(data) <= GATHERED_BYTES
            table[number] = data
            barrier.wait()
            everything = list(table)
            barrier.wait()
            return everything

        try:
            agreement.compare(gather, per_rank[number])
        except UsageError as error:
            said[number] = str(error)

    threads = [threading.Thread(target=rank, args=(n,)) for n in range(len(per_rank))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def test_alike(monkeypatch):
    other = dict(FLAGS, train_dir='/b')  # a place on a server
    assert outcome([agreement.items(f, DATA) for f in (FLAGS, other, FLAGS)]) == [None] * 3


@pytest.mark.parametrize(
    'flags,data,words',
    [
        ({'learning_rate': 0.2}, {}, ['--learning_rate', 'rank 0 has 0.1', 'rank 2 has 0.2']),
        ({'seed': None}, {}, ['--seed', 'rank 0 has 3', 'rank 2 has null']),
        ({'names': ['x'] * 98 + ['y']}, {}, ['--names']),
        ({}, {'records': 99}, ['records', '100', '99']),
        ({}, {'class_names': DATA['class_names'][:-1] + ['z']}, ['class_names']),
    ],
)
def test_the_one_that_differs_is_named_on_all(flags, data, words):
    alike = agreement.items(FLAGS, DATA)
    said = outcome([alike, alike, agreement.items(dict(FLAGS, **flags), dict(DATA, **data))])
    assert len(set(said)) == 1
    for word in words:
        assert word in said[0]


def test_other_code_is_named_before_the_flags_it_has(monkeypatch):
    alike = agreement.items(FLAGS, DATA)
    monkeypatch.setattr(agreement.run_record, 'code_version', lambda: 'other')
    said = outcome([alike, agreement.items(dict(FLAGS, new_flag=1), DATA)])
    assert 'version of the program' in said[0] and 'other' in said[0]
