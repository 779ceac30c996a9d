"""Which record is read when: arithmetic alone, so that any rank can start anywhere without reading.

The training stream is one endless line of positions. Position p is the k-th record of epoch e,
where e = p // N and k = p % N, and every epoch is a new permutation of all N records. Batch b of
rank r takes the B positions from (b * world + r) * B on: together the ranks walk the line without a
gap, batches run across the ends of epochs, and nothing is dropped.
"""

import collections
import threading

import numpy as np

# An epoch's end and the next one's beginning lie in one batch; readers run ahead of each other by
# less than an epoch, but a small data set has several epochs in a batch.
CACHED_EPOCHS = 4


def permutation(seed, epoch, num_examples):
    """int64 [N]: the order of one epoch. RandomState, because numpy froze its streams for good."""
    words = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, epoch]
    return np.random.RandomState(words).permutation(num_examples)


def batch_positions(batch, batch_size, rank=0, world_size=1):
    """int64 [B]: the positions of batch `batch` of a rank."""
    start = (batch * world_size + rank) * batch_size
    return np.arange(start, start + batch_size, dtype=np.int64)


class Order:
    """Positions to records. `shuffle=False` keeps the order of the files."""

    def __init__(self, num_examples, seed, shuffle=True):
        self.num_examples, self.seed, self.shuffle = num_examples, seed, shuffle
        self._permutations = collections.OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, position):
        """Position -> (epoch, record), all int."""
        epoch, place = divmod(int(position), self.num_examples)
        if not self.shuffle:
            return epoch, place
        return epoch, int(self._permutation(epoch)[place])

    def _permutation(self, epoch):
        with self._lock:
            if epoch not in self._permutations:
                self._permutations[epoch] = permutation(self.seed, epoch, self.num_examples)
                if len(self._permutations) > CACHED_EPOCHS:
                    self._permutations.popitem(last=False)
            return self._permutations[epoch]
