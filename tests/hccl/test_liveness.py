"""Who is late, judged from beats; and what goes between processes and launchers, as text."""

import math
import time

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from hccl import failure, heartbeat, link, liveness
from hccl.failure import Failure
from hccl.heartbeat import Beat

NOW = 1000.0


def beat(state='loop', batch=5, waits=0.0, silent=0.0, limit=10.0, patience=10.0):
    """The beat of a rank that has been in its state for `waits` seconds, and silent for some."""
    return Beat(state, NOW - waits, batch, batch, limit, patience, 30.0, NOW - silent)


@pytest.mark.parametrize(
    'beats, late',
    [
        ([beat(waits=9), beat(waits=9)], None),
        ([beat(waits=11), beat(waits=11)], []),  # all in the same loop: nobody is to blame
        ([beat(waits=11), beat(batch=4, waits=30, limit=60)], [1]),  # an earlier loop
        ([beat(waits=11), beat('between', waits=11, limit=60)], None),  # it works
        ([beat(waits=11), beat('between', waits=11, silent=8, limit=60)], [1]),  # it is stopped
        ([beat(waits=2), beat('between', waits=61, limit=60)], [1]),  # its work has no end
        ([beat(waits=2), beat('between', waits=12, silent=11, limit=60)], [1]),
        ([beat(waits=2), beat(waits=2, silent=11)], [1]),  # a stopped rank in a long loop
        ([beat('meet', waits=2), beat('meet', waits=9)], None),
        ([beat('meet', waits=11), beat('between', waits=2)], [0]),
        ([beat('meet', waits=2), beat('start', waits=9, silent=9)], None),
        ([beat('meet', waits=2), beat('start', waits=12, silent=11)], [1]),
    ],
)
def test_who_is_late(beats, late):
    found = liveness.overdue(dict(enumerate(beats)), NOW)
    assert (None if found is None else found[0]) == late
    assert late is None or all(f'rank {rank} ' in found[1] for rank in late)


def test_no_ranks_are_not_late():
    assert liveness.overdue({}, NOW) is None


def test_whom_ranks_wait_for():
    beats = {0: beat('meet', waits=12), 2: beat('meet', waits=3)}
    text = liveness.waiting_for(beats, range(4), NOW)
    assert text == '2 ranks waiting for 12 s for ranks 1, 3'
    assert liveness.waiting_for({**beats, 3: beat('start')}, range(4), NOW) == text
    assert liveness.waiting_for({}, range(4), NOW) is None
    assert liveness.waiting_for({0: beat('between')}, [0], NOW) is None
    every = {rank: beat('meet', waits=80 - rank) for rank in range(12)}
    text = liveness.waiting_for(every, every, NOW)
    assert text == 'all ranks have been waiting for each other for 69 s'
    assert liveness.waiting_for(every, every, NOW - 10) is None
    stopped = {**every, 3: beat('meet', waits=80, silent=5)}
    assert liveness.waiting_for(stopped, every, NOW).endswith('for 80 s for rank 3')
    many = liveness.waiting_for({0: every[0]}, every, NOW)
    assert many == 'rank 0 waiting for 80 s for ranks 1, 2, 3, 4, 5, 6, 7, 8 and 3 more'


def test_a_heartbeat_lives_without_being_told(tmp_path):
    path = str(tmp_path / 'beat')
    assert heartbeat.of_this_rank({}) is None and heartbeat.read(path) is None
    beats = heartbeat.of_this_rank({'MOBILENET_HEARTBEAT_FILE': path})
    beats.tell('loop', 3, 2, math.inf, 60.0, 30.0)
    first = heartbeat.read(path)
    assert first[:1] + first[2:7] == ('loop', 3, 2, math.inf, 60.0, 30.0)
    assert first.since <= first.alive <= time.monotonic()
    end = time.time() + 60
    while heartbeat.read(path).alive == first.alive:
        assert time.time() < end
        time.sleep(0.02)
    assert heartbeat.read(path)._replace(alive=first.alive) == first
    beats.tell('between', 4, 3, 1.0, 2.0, 3.0)
    assert heartbeat.read(path)[2:7] == (4, 3, 1.0, 2.0, 3.0)


seconds = st.floats(min_value=0, allow_nan=False)
finite = st.floats(min_value=0, max_value=1e9)
counts = st.integers(min_value=0, max_value=2**53)
beats = st.builds(
    Beat,
    st.sampled_from(heartbeat.STATES),
    finite,
    counts,
    counts,
    seconds,
    seconds,
    finite,
    finite,
)
failures = st.builds(
    Failure,
    rank=st.none() | counts,
    server=st.text(max_size=9),
    status=st.none() | st.integers(-64, 255),
    kind=st.text(max_size=9),
    message=st.text(max_size=50),
    time=finite,
    batch=st.none() | counts,
    step=st.none() | counts,
    own=st.booleans(),
    output=st.none() | st.text(max_size=9),
)
states = st.builds(
    link.State,
    counts,
    st.sampled_from(link.PHASES),
    st.lists(failures, max_size=3),
    st.lists(failures, max_size=1),
    st.dictionaries(st.integers(0, 7), beats, max_size=3),
)
many = settings(max_examples=300, deadline=None)


@many
@given(beats)
def test_a_beat_as_text(value):
    text = heartbeat.dumps(value)
    assert heartbeat.loads(text.decode()) == value and text.count(b'\n') == 1
    assert len(text) == len(heartbeat.dumps(value._replace(batch=0, step=0)))


@many
@given(st.text() | beats.map(lambda b: heartbeat.dumps(b).decode()[::-1]))
def test_any_text_is_a_beat_or_a_value_error(text):
    try:
        assert isinstance(heartbeat.loads(text), Beat)
    except ValueError:
        pass


@many
@given(states)
def test_a_state_as_a_line(state):
    line = link.dumps(state, NOW)
    assert line.endswith(b'\n') and line.count(b'\n') == 1
    back = link.loads(line, range(8), NOW + 50)  # a clock of another machine
    assert back[:4] == state[:4] and set(back.beats) == set(state.beats)
    for rank, before in state.beats.items():
        assert back.beats[rank]._replace(since=0, alive=0) == before._replace(since=0, alive=0)
        age = NOW - before.since
        assert NOW + 50 - back.beats[rank].since == pytest.approx(age, rel=1e-6, abs=1e-4)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)
keys = dict.fromkeys(('attempt', 'phase', 'failures', 'cause', 'beats'), json_values)


@many
@given(st.binary() | json_values.map(repr).map(str.encode) | st.fixed_dictionaries(keys).map(str))
def test_any_line_is_a_state_or_a_value_error(line):
    line = line if isinstance(line, bytes) else line.replace("'", '"').encode()
    try:
        assert isinstance(link.loads(line, range(8), NOW), link.State)
    except ValueError:
        pass


@many
@given(st.binary() | json_values.map(repr).map(str.encode))
def test_any_error_file_is_read(content):
    import os
    import tempfile

    with tempfile.NamedTemporaryFile(delete=False) as f:
        f.write(content)
    try:
        assert isinstance(failure.read_error(f.name), dict)
    finally:
        os.unlink(f.name)


def of(rank, kind='error', status=1, at=0.0, own=True):
    return Failure(rank, 's', status, kind, '', at, None, None, own, None)


@pytest.mark.parametrize(
    'failures, cause',
    [
        ([of(0, at=2), of(1, at=1)], 1),
        ([of(0, at=1), of(1, at=1)], 0),
        ([of(0, 'peer', at=1), of(1, 'nan', at=9)], 1),
        ([of(0, at=1), of(1, status=-9, at=2)], 1),
        ([of(0, at=1, own=False), of(1, at=2)], 1),
        ([of(0, 'nan', at=2, own=False), of(1, 'peer', at=1)], 0),
        ([of(0, status=-15, at=1, own=False), of(1, at=2)], 1),
        ([of(0, at=1), of(1, 'usage', 2, at=2)], 1),
        ([of(0, at=1), of(None, 'server', None, at=2)], None),
    ],
)
def test_the_cause_of_several_failures(failures, cause):
    assert failure.cause(failures).rank == cause
    assert failure.cause(failures[::-1]).rank == cause


def test_lines_of_failures():
    one = of(3, status=-9)._replace(message='why', output='rank_3.out')
    assert failure.line_of(one, 4, 's') == (
        'rank 3 failed with signal SIGKILL: why; the other ranks were ended; '
        'its output is in rank_3.out'
    )
    assert failure.line_of(one, 4, 'here').endswith('its output is in rank_3.out on s')
    assert failure.line_of(of(0, status=-99), 1, 's') == 'rank 0 failed with signal 99'
    assert failure.line_of(of(None, 'server', None), 1, 's') == 'server s failed'
    line = failure.line_of(of(None, 'timeout', None)._replace(message='why'), 2, 's')
    assert line == 'the run failed with a timeout: why; the ranks were ended'
