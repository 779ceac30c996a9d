"""When a run saves, and what it does where it cannot: a run that counts, a clock that is set."""

import types

import pytest

from mobilenet import saving
from mobilenet.checkpoints import SaveError
from mobilenet.errors import Failure


class Run:
    """Saves into `saved` (batches), unless `broken`."""

    is_main, resumed, world_size = True, None, 1

    def __init__(self, every=10, retries=2, **changes):
        self.config = types.SimpleNamespace(
            save_every_steps=every, save_retries=[retries, 60.0], deterministic=False
        )
        self.checkpointer = types.SimpleNamespace(latest=lambda: 'model.ckpt-10')
        self.batch, self.at_end, self.broken = 0, False, 0
        self.saved, self.said, self.wished = [], [], False
        vars(self).update(changes)

    def save(self):
        if self.broken:
            self.broken -= 1
            raise SaveError('model.ckpt could not be saved: No space left on device')
        self.saved.append(self.batch)

    def say(self, line):
        self.said.append(line)

    def agreed(self, values, name):
        return self.wished


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass by sleeping, or by hand."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(saving.time, 'monotonic', lambda: clock.now)

    def sleep(seconds):
        clock.now += seconds

    monkeypatch.setattr(saving.time, 'sleep', sleep)
    return clock


def loops(run, hook, until, seconds=0.0, clock=None):
    """Loops of 4 steps up to a batch."""
    while run.batch < until:
        run.batch += 4
        if clock:
            clock.now += seconds
        hook.after_loop(run, 4, {}, 0.1)


def begin(run):
    hook = saving.Saving()
    hook.session_ready(run)
    return hook


def test_every_so_many_steps_at_the_end_and_on_a_wish(clock):
    run = Run()
    hook = begin(run)
    loops(run, hook, 40)
    assert run.saved == [12, 24, 36]
    run.wished = True
    loops(run, hook, 44)
    run.wished, run.at_end = False, True
    loops(run, hook, 48)
    assert run.saved == [12, 24, 36, 44, 48]


def test_other_ranks_save_nothing(clock):
    run = Run(is_main=False, at_end=True)
    loops(run, begin(run), 20)
    assert run.saved == []


def test_a_full_disk_is_tried_again_after_a_pause_while_the_run_goes_on(clock):
    run = Run(broken=2)
    hook = begin(run)
    loops(run, hook, 16, 10.0, clock)  # at 12, 30 s after the start, it fails
    assert 'No space left' in run.said[0] and '1 of 2' in run.said[0] and not run.saved
    loops(run, hook, 32, 10.0, clock)  # 70 s
    assert len(run.said) == 1
    loops(run, hook, 36, 10.0, clock)  # 90 s: fails again
    assert len(run.said) == 2 and '2 of 2' in run.said[1]
    loops(run, hook, 60, 10.0, clock)
    assert run.saved == [60]
    loops(run, hook, 72, 10.0, clock)  # all is well again
    assert run.saved == [60, 72]
    run.broken = 1
    loops(run, hook, 84, 10.0, clock)
    assert '1 of 2' in run.said[-1]


def test_after_the_last_try_the_run_ends_with_the_last_good_one_named(clock):
    run = Run(broken=9)
    with pytest.raises(Failure, match='No space left.*in 3 tries.*model.ckpt-10'):
        loops(run, begin(run), 4000, 10.0, clock)
    assert clock.now == 30 + 60 + 60


def test_at_the_end_it_waits(clock):
    run = Run(broken=2, at_end=True)
    loops(run, begin(run), 4)
    assert run.saved == [4] and clock.now == 120
    run = Run(broken=9, at_end=True)
    with pytest.raises(Failure):
        loops(run, begin(run), 4)
    assert clock.now == 240


def test_initial_weights_of_a_deterministic_run(clock):
    run = Run()
    run.config.deterministic = True
    begin(run)
    assert run.saved == [0]
    run = Run(resumed='model.ckpt-4')
    run.config.deterministic = True
    begin(run)
    assert run.saved == []
