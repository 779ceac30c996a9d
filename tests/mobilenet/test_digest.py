"""Weights that differ on a rank: noticed when they are compared."""

import types

import numpy as np
import pytest

from mobilenet import digest
from mobilenet.errors import Failure

WEIGHTS = {'w': np.arange(6, dtype=np.float32).reshape(2, 3), 'step': np.int64(4)}


def run(others, every=None, **changes):
    """Rank 0 of a run whose other ranks have the weights `others`."""
    compared = []

    def gather(data):
        compared.append(len(compared))
        return [data] + [digest.digest(weights).encode() for weights in others]

    fields = {
        'config': types.SimpleNamespace(check_weights_every=every),
        'sess': types.SimpleNamespace(run=lambda variables: WEIGHTS),
        'gather': gather,
        'compared': compared,
        'said': [],
        'batch': 0,
        'at_end': False,
        'world_size': 1 + len(others),
    }
    made = types.SimpleNamespace(**dict(fields, **changes))
    made.say = made.said.append
    return made


def loops(made, count):
    hook = digest.WeightsDigest()
    hook.session_ready(made)
    for _ in range(count):
        made.batch += 2
        hook.after_loop(made, 2, {}, 0.1)
    return hook


def test_one_bit_of_one_rank_is_noticed():
    flipped = dict(WEIGHTS, w=WEIGHTS['w'].copy())
    flipped['w'].view(np.uint32)[1, 2] ^= 1
    with pytest.raises(Failure, match='ranks 0 and 2 differ') as raised:
        loops(run([WEIGHTS, flipped], at_end=True), 1)
    assert raised.value.kind == 'disagreement'


def test_compared_every_so_many_steps_and_said_at_the_end():
    made = run([WEIGHTS], every=5)
    hook = loops(made, 9)  # at 6, 12 and 18
    assert len(made.compared) == 3
    hook.end(made, None)
    assert made.said == [f'weights sha256 {digest.digest(WEIGHTS)}']
    never = run([WEIGHTS])
    loops(never, 9)
    assert never.compared == []


def test_a_single_rank_has_nothing_to_compare():
    made = run([], every=1, at_end=True)
    loops(made, 3).end(made, None)
    assert made.compared == made.said == []


def test_the_digest_tells_names_types_shapes_and_bits_apart():
    others = [
        {'v': WEIGHTS['w'], 'step': WEIGHTS['step']},
        {'w': WEIGHTS['w'].reshape(3, 2), 'step': WEIGHTS['step']},
        {'w': WEIGHTS['w'].view(np.int32), 'step': WEIGHTS['step']},
        {'w': -WEIGHTS['w'], 'step': WEIGHTS['step']},
    ]
    assert len({digest.digest(v) for v in others + [WEIGHTS]}) == 5
    assert digest.digest(dict(reversed(list(WEIGHTS.items())))) == digest.digest(WEIGHTS)
