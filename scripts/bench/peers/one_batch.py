"""A training over one batch of noise, again and again: its configuration and input pipeline, for a
TrainingRun.
"""

import data
from mobilenet import configuration
import train_loop


def configure(args, train_dir, world_size=1, **flags):
    """(Config, data set) of train_loop.py on the host with a benchmark's sizes; flags: further."""
    flags.update(
        device='host',
        dataset_name='synthetic',
        model_name=args.model_name,
        image_size=args.image_size,
        batch_size=args.batch_size,
        train_dir=train_dir,
    )
    config = train_loop.parse([f'--{name}={value}' for name, value in flags.items()])
    dataset = data.open_dataset('synthetic', None, 'train')
    return configuration.for_training(config, dataset, world_size), dataset


class OneBatch:
    """float32 images [batch_size, image_size, image_size, 3] in -1..1; labels from 0 on."""

    bad_records = {}

    def __init__(self, batch_size, image_size, seed=0):
        self._shape = [batch_size, image_size, image_size, 3]
        self._seed = [1, 2 + seed]

    def dataset(self, start_batch):
        import tensorflow as tf

        del start_batch

        @tf.autograph.experimental.do_not_convert
        def batch(seed):
            images = tf.random.stateless_uniform(self._shape, seed, -1, 1)
            return images, tf.range(self._shape[0])

        # Made once. As a constant it would stand in each copy of the graph: 100 MiB at 224, 32.
        return tf.data.Dataset.from_tensors(self._seed).map(batch).cache().repeat()

    def normalize(self, images):
        return images
