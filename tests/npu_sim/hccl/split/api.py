"""The pieces in which gradients are all-reduced: kept, and without an effect on the numbers."""

from npu_bridge.sim import world

WORLD = world.WORLD_GROUP
MAX_PIECES = 8
# Group -> ('idx' or 'size', list), for tests to look at.
strategies = {}


def set_split_strategy_by_idx(idxList, group=WORLD):
    if sorted(set(idxList)) != list(idxList) or idxList[0] < 0:
        raise ValueError(f'indices must rise from 0 or above: {idxList}')
    _set('idx', idxList, group)


def set_split_strategy_by_size(dataSizeList, group=WORLD):
    if any(p < 0 for p in dataSizeList) or abs(sum(dataSizeList) - 100) > 1e-6:
        raise ValueError(f'percentages must add up to 100: {dataSizeList}')
    _set('size', dataSizeList, group)


def _set(by, values, group):
    if not isinstance(values, list) or len(values) > MAX_PIECES:
        raise ValueError(f'a list of at most {MAX_PIECES} pieces, not {values}')
    world.members(group)  # raises where HCCL is not initialized, or the group is unknown
    strategies[group] = (by, list(values))
