"""HCCL collectives, in the adapter's signatures. What they compute is in npu_bridge.sim.gen_ops."""

from npu_bridge.helper import helper

gen_hccl_ops = helper.get_gen_ops()
WORLD = 'hccl_world_group'


def allreduce(tensor, reduction, fusion=1, fusion_id=-1, group=WORLD):
    return gen_hccl_ops.hcom_all_reduce(
        input=tensor, reduction=reduction, fusion=fusion, fusion_id=fusion_id, group=group
    )


def allgather(tensor, rank_size, fusion=0, fusion_id=-1, group=WORLD):
    return gen_hccl_ops.hcom_all_gather(
        input=tensor, rank_size=rank_size, fusion=fusion, fusion_id=fusion_id, group=group
    )


def broadcast(tensor, root_rank, fusion=2, fusion_id=0, group=WORLD):
    return gen_hccl_ops.hcom_broadcast(
        input=tensor, root_rank=root_rank, fusion=fusion, fusion_id=fusion_id, group=group
    )


def reduce(tensor, reduction, root_rank, fusion=0, fusion_id=-1, group=WORLD):
    return gen_hccl_ops.hcom_reduce(
        input=tensor,
        reduction=reduction,
        root_rank=root_rank,
        fusion=fusion,
        fusion_id=fusion_id,
        group=group,
    )


def reduce_scatter(tensor, reduction, rank_size, fusion=0, fusion_id=-1, group=WORLD):
    return gen_hccl_ops.hcom_reduce_scatter(
        input=tensor,
        reduction=reduction,
        rank_size=rank_size,
        fusion=fusion,
        fusion_id=fusion_id,
        group=group,
    )


def send(tensor, sr_tag, dest_rank, group=WORLD):
    return gen_hccl_ops.hcom_send(input=tensor, sr_tag=sr_tag, dest_rank=dest_rank, group=group)


def receive(shape, data_type, sr_tag, src_rank, group=WORLD):
    return gen_hccl_ops.hcom_receive(
        shape=shape, T=data_type, sr_tag=sr_tag, src_rank=src_rank, group=group
    )
