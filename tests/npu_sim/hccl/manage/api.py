"""Ranks and groups, known once initialize_system has run in a session that is still open."""

from npu_bridge.sim import world

WORLD = world.WORLD_GROUP


def get_rank_size(group=WORLD):
    return len(world.members(group))


def get_rank_id(group=WORLD):
    return world.members(group).index(world.rank())


def get_local_rank_size(group=WORLD):
    return len(world.local_members(group))


def get_local_rank_id(group=WORLD):
    return world.local_members(group).index(world.rank())


def create_group(group, rank_num, rank_ids):
    world.create_group(group, rank_num, rank_ids)


def destroy_group(group):
    world.destroy_group(group)


def get_world_rank_from_group_rank(group, group_rank_id):
    return world.members(group)[group_rank_id]


def get_group_rank_from_world_rank(world_rank_id, group):
    return world.members(group).index(world_rank_id)
