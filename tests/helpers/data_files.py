"""Small TFRecord data sets for the tests of data/."""

import io
import os

import numpy as np
from PIL import Image

from data import examples, tfrecord


def jpeg(pixels, **options):
    """uint8 [h, w, 3] (or [h, w], or a Pillow image) as JPEG bytes."""
    return encode(pixels, 'JPEG', **dict({'quality': 95}, **options))


def encode(pixels, image_format, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def noise(height, width, seed):
    """Soft noise: neighbouring pixels differ little, so that JPEG keeps them."""
    small = np.random.RandomState(seed).randint(0, 256, [5, 5, 3], dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.BILINEAR))


def example(encoded, label, boxes=(), **options):
    """Example bytes; the sizes it states are wrong on purpose: nothing may rely on them."""
    return examples.image_example(encoded, 'JPEG', 1, 1, 3, label, boxes=boxes, **options)


def write_shards(folder, split, shards, labels=None):
    """shards: a list of lists of Example bytes. labels: class names for labels.txt."""
    os.makedirs(str(folder), exist_ok=True)
    for i, records in enumerate(shards):
        path = os.path.join(str(folder), examples.shard_name(split, i, len(shards)))
        with tfrecord.TFRecordWriter(path) as writer:
            for record in records:
                writer.write(record)
    if labels:
        with open(os.path.join(str(folder), 'labels.txt'), 'w') as file:
            file.write(examples.labels_text(labels))


def write_numbered(folder, split, counts):
    """Shards of small JPEGs; record i of the whole has label i, every third one a box."""
    shards, number = [], 0
    for count in counts:
        records = []
        for _ in range(count):
            pixels = noise(30 + number % 7, 40 - number % 5, number)
            boxes = [(0.2, 0.3, 0.6, 0.9)] if number % 3 == 0 else []
            records.append(example(jpeg(pixels), number, boxes))
            number += 1
        shards.append(records)
    write_shards(folder, split, shards, [f'class {i}' for i in range(number)])
