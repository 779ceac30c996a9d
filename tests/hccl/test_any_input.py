"""Parsers of the launcher under hypothesis, those whose own tests do not have it."""

import json
import os
import socket

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from hccl import cores, launcher, link_sockets, rank_table
from mobilenet.errors import UsageError
from scripts import make_rank_table
from tests.hccl.test_rank_table import table_1_0, table_1_2, table_group_list

many = settings(max_examples=300, deadline=None)
WORDS = st.sampled_from(
    ['0', '1', '7', '²', '٣', '-1', '1_0', '99999', '9' * 30, '-', ':', ',', '[', ')', ' ', '\0']
    + ['auto', 'none', '127.0.0.1', '1.2', 'completed', '\ud83d']
)
TEXT = st.text(max_size=6) | st.lists(WORDS, max_size=6).map(''.join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.just(10**400) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=5,
)


def places(value, path=()):
    """Paths to all values within a JSON value."""
    yield path
    inner = enumerate(value) if isinstance(value, list) else ()
    for key, item in value.items() if isinstance(value, dict) else inner:
        yield from places(item, path + (key,))


@st.composite
def tables(draw):
    """The text of a good table in which some values are others, or gone."""
    data = draw(st.sampled_from([table_1_0(2, 2), table_1_2(1, 2, 2), table_group_list()]))
    data = json.loads(json.dumps(data))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(data))))
        if not path:
            continue
        *parents, last = path
        place = data
        for key in parents:
            place = place[key]
        if draw(st.booleans()):
            place[last] = draw(VALUES)
        else:
            del place[last]
    return json.dumps(data).encode('utf-8', 'surrogatepass')


@many
@given(tables() | st.binary(max_size=60) | VALUES.map(json.dumps).map(str.encode))
def test_rank_tables(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / 'table-hypothesis.json'
    path.write_bytes(content)
    try:
        table = rank_table.load(str(path))
    except UsageError as error:
        assert 'table-hypothesis.json' in str(error) and '\n' not in str(error)
        return
    assert table.world_size == sum(len(server.devices) for server in table.servers)
    assert isinstance(rank_table.dumps(table), str)
    assert all(isinstance(line, str) for line in rank_table.notes(table))


VARIABLES = ('RANK_ID', 'RANK_SIZE', 'MOBILENET_RANK_ADDRESSES')


@many
@given(st.dictionaries(st.sampled_from(VARIABLES), TEXT))
def test_the_environment_of_a_rank(env):
    try:
        rank, size, addresses = launcher.rank_of(dict({'RANK_ID': '0'}, **env))
    except UsageError:
        return
    assert 0 <= rank < size and len(addresses) in (0, size)


@many
@given(TEXT, st.integers(1, 4))
def test_cores_of_ranks(text, ranks):
    try:
        assert len(cores.assign_cores(text, ranks, {0, 1, 2})) == ranks
    except UsageError as error:
        assert '--bind_cores' in str(error)


@many
@given(TEXT)
def test_lists_of_devices(text):
    try:
        assert 0 < len(make_rank_table.parse_devices(text)) <= 64
    except UsageError as error:
        assert '--devices' in str(error)


HELLOS = st.fixed_dictionaries({'server': VALUES, 'run': VALUES}) | VALUES


@many
@given(st.binary(max_size=60) | HELLOS.map(json.dumps).map(str.encode))
def test_what_another_program_says_to_a_launcher(content):
    """It is sent away: the connection is closed."""
    peers = link_sockets.Peers(['a'], 'a', {}, os.urandom(9), None)
    here, there = socket.socketpair()
    with here, there:
        there.sendall(content + b'\n')
        there.shutdown(socket.SHUT_WR)
        peers._welcome(here)
        try:
            assert there.recv(1) == b''
        except ConnectionError:
            pass


@pytest.mark.parametrize('text', ['[0,9999999999)', '0-99999999999', '²'])
def test_lists_of_devices_without_end(text):
    with pytest.raises(UsageError, match='--devices'):
        make_rank_table.parse_devices(text)
