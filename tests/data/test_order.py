"""Order of records: a permutation an epoch, split over ranks without a gap or a double."""

import collections

import pytest

from data import order as order_module
from data.order import Order, batch_positions, permutation


@pytest.mark.parametrize('world_size', [1, 2, 3, 8])
@pytest.mark.parametrize('num_examples, batch_size', [(23, 4), (5, 8), (64, 8), (101, 1)])
def test_every_record_once_an_epoch_over_all_ranks(world_size, num_examples, batch_size):
    order = Order(num_examples, seed=3)
    batches = 3 * num_examples // (world_size * batch_size) + 1  # more than 3 epochs in all
    shown = collections.defaultdict(list)
    for rank in range(world_size):
        for batch in range(batches):
            for position in batch_positions(batch, batch_size, rank, world_size):
                epoch, record = order(position)
                shown[epoch].append(record)
    assert len(shown) >= 3
    for epoch in range(3):
        assert sorted(shown[epoch]) == list(range(num_examples))


def test_epochs_and_seeds_differ_and_repeat():
    orders = [tuple(permutation(seed, epoch, 50)) for seed in (0, 1, 2**40) for epoch in range(4)]
    assert len(set(orders)) == 12
    assert orders[5] == tuple(permutation(1, 1, 50))
    # Frozen: a run that is resumed with a later version must find its order again.
    assert permutation(0, 0, 10).tolist() == [8, 2, 4, 3, 6, 0, 9, 1, 5, 7]


def test_the_order_can_be_asked_anywhere():
    order, again = Order(1000, 5), Order(1000, 5)
    forward = [order(p) for p in range(0, 9000, 7)]
    assert [again(p) for p in reversed(range(0, 9000, 7))] == forward[::-1]
    assert Order(10, 5, shuffle=False)(23) == (2, 3)
    assert Order(10, 5)(23) == (2, permutation(5, 2, 10)[3])


def test_one_rank_takes_the_line_as_it_is():
    assert batch_positions(3, 4).tolist() == [12, 13, 14, 15]
    assert batch_positions(3, 4, 1, 2).tolist() == [28, 29, 30, 31]


def test_every_bit_of_a_seed_counts():
    """numpy takes a seed in words of 32 bits: none of a large seed's may be lost."""
    orders = {tuple(permutation(seed, 0, 50)) for seed in [0] + [1 << bit for bit in range(64)]}
    assert len(orders) == 65


def test_few_permutations_are_kept_and_none_is_made_twice_in_a_row(monkeypatch):
    """An epoch of ImageNet is 10 MB: those of a batch across epochs stay, older ones go."""
    made = []

    def count(seed, epoch, num_examples):
        made.append(epoch)
        return permutation(seed, epoch, num_examples)

    monkeypatch.setattr(order_module, 'permutation', count)
    order = Order(10, 5)
    for position in range(60):
        order(position)
    assert made == [0, 1, 2, 3, 4, 5]
    for position in (59, 25, 45, 35):  # the newest four epochs
        order(position)
    assert made == [0, 1, 2, 3, 4, 5]
    order(15)
    assert made[6:] == [1]
