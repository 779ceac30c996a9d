"""What ranks do together: mean of tensors, and rank 0's values for all. Two engines, one interface.

A collective has `rank`, `size`, `allreduce_mean(tensors)`, `allreduce_sum_unfused(tensor)` and
`broadcast(tensors)`.
"""

import tensorflow as tf

BUCKET_BYTES = 4 << 20


def buckets(tensors):
    """Groups indices of `tensors` into runs of at most BUCKET_BYTES (a larger tensor is alone).

    From the last tensor to the first: the backward pass gives the last layers' gradients first, and
    a bucket can start as soon as its own are there.
    """
    groups, used = [], 0
    for index in reversed(range(len(tensors))):
        size = tensors[index].shape.num_elements() * tensors[index].dtype.size
        if not groups or used + size > BUCKET_BYTES:
            groups.append([])
            used = 0
        groups[-1].append(index)
        used += size
    return groups


def _in_buckets(tensors, reduce_flat):
    """Applies `reduce_flat` (flat tensor -> flat tensor) to the buckets of `tensors`; gives them
    back in shape.
    """
    results = [None] * len(tensors)
    for group in buckets(tensors):
        flat = tf.concat([tf.reshape(tensors[i], [-1]) for i in group], 0)
        parts = tf.split(reduce_flat(flat), [tensors[i].shape.num_elements() for i in group])
        for index, part in zip(group, parts):
            results[index] = tf.reshape(part, tensors[index].shape)
    return results


def create(device_name, rank, size, addresses):
    """The collectives of a rank, by its device's engine. addresses: 'host:port' of every rank, for
    host.
    """
    if size == 1:
        return SingleRank()
    if device_name == 'npu':
        return HcclCollectives(rank, size)
    return HostCollectives(rank, addresses)


class Collectives:
    """What the engines share."""

    def alone(self):
        """Collectives of this rank by itself: for looking at its own part of a step."""
        return SingleRank()


class SingleRank(Collectives):
    """One rank: everything is already common."""

    rank, size = 0, 1

    def allreduce_mean(self, tensors):
        return list(tensors)

    def allreduce_sum_unfused(self, tensor):
        return tensor

    def broadcast(self, tensors):
        return list(tensors)


class HostCollectives(Collectives):
    """TensorFlow's collective ops over gRPC, between processes on CPUs.

    Args:
      rank: this process's; addresses: 'host:port' of every rank, in order.
    """

    GROUP_KEY = 1

    def __init__(self, rank, addresses):
        self.rank, self.size = rank, len(addresses)
        # collective ops want their input on one
        self._device = f'/job:worker/replica:0/task:{rank}/device:CPU:0'
        self._instances = 0

    def _next_instance(self):
        """The key that all ranks give to the same collective: they build the same graph in the same
        order.
        """
        self._instances += 1
        return self._instances

    def _reduce(self, tensor, final):
        from tensorflow.python.ops import collective_ops

        with tf.device(self._device):
            return collective_ops.all_reduce(
                tf.identity(tensor),
                self.size,
                self.GROUP_KEY,
                self._next_instance(),
                'Add',
                final,
                (0,),
            )

    def allreduce_mean(self, tensors):
        """Mean over the ranks of each float32 tensor, in buckets; each bucket is under way as soon
        as it is full.
        """
        return _in_buckets(tensors, lambda flat: self._reduce(flat, 'Div'))

    def allreduce_sum_unfused(self, tensor):
        return tf.reshape(self._reduce(tf.reshape(tensor, [-1]), 'Id'), tensor.shape)

    def broadcast(self, tensors):
        """Rank 0's values of float32 tensors with static shapes."""
        from tensorflow.python.ops import collective_ops

        def send_or_receive(flat):
            key = self._next_instance()
            with tf.device(self._device):
                if self.rank == 0:
                    return collective_ops.broadcast_send(
                        tf.identity(flat), flat.shape, flat.dtype, self.size, self.GROUP_KEY, key
                    )
                return collective_ops.broadcast_recv(
                    flat.shape, flat.dtype, self.size, self.GROUP_KEY, key
                )

        return _in_buckets(tensors, send_or_receive)


class HcclCollectives(Collectives):
    """HCCL's ops. HCCL itself fuses the gradients, by --gradient_split; it has no mean, so that we
    divide after.
    """

    def __init__(self, rank, size):
        self.rank, self.size = rank, size

    def allreduce_mean(self, tensors):
        from npu_bridge.hccl import hccl_ops

        return [hccl_ops.allreduce(tensor, 'sum', fusion=1) / self.size for tensor in tensors]

    def allreduce_sum_unfused(self, tensor):
        from npu_bridge.hccl import hccl_ops

        return hccl_ops.allreduce(tensor, 'sum', fusion=0)

    def broadcast(self, tensors):
        from npu_bridge.hccl import hccl_ops

        return hccl_ops.broadcast(list(tensors), 0)
