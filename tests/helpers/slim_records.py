"""Reads TFRecords in slim's layout by TensorFlow's own reader and parser: independent of data/."""

import os
import subprocess
import sys

from tests.helpers import ROOT


def features(tf):
    return {
        'image/encoded': tf.io.FixedLenFeature([], tf.string),
        'image/format': tf.io.FixedLenFeature([], tf.string),
        'image/filename': tf.io.FixedLenFeature([], tf.string),
        'image/colorspace': tf.io.FixedLenFeature([], tf.string),
        'image/class/label': tf.io.FixedLenFeature([], tf.int64),
        'image/class/text': tf.io.FixedLenFeature([], tf.string),
        'image/class/synset': tf.io.FixedLenFeature([], tf.string, ''),
        'image/height': tf.io.FixedLenFeature([], tf.int64),
        'image/width': tf.io.FixedLenFeature([], tf.int64),
        'image/channels': tf.io.FixedLenFeature([], tf.int64),
        'image/object/bbox/xmin': tf.io.VarLenFeature(tf.float32),
        'image/object/bbox/ymin': tf.io.VarLenFeature(tf.float32),
        'image/object/bbox/xmax': tf.io.VarLenFeature(tf.float32),
        'image/object/bbox/ymax': tf.io.VarLenFeature(tf.float32),
        'image/object/bbox/label': tf.io.VarLenFeature(tf.int64),
    }


def shards(folder, split):
    return sorted(
        os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(split + '-')
    )


def read(folder, split):
    """[{key: value, 'pixels': uint8 [h, w, 3]}] of all records of a split, in order."""
    import tensorflow as tf  # here, so that processes that only start scripts need not wait for it

    def parse(record):
        example = tf.io.parse_single_example(record, features(tf))
        for key in list(example):
            if isinstance(example[key], tf.SparseTensor):
                example[key] = tf.sparse.to_dense(example[key])
        example['pixels'] = tf.io.decode_image(
            example['image/encoded'], channels=3, expand_animations=False
        )
        return example

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        following = tf.compat.v1.data.make_one_shot_iterator(
            tf.data.TFRecordDataset(shards(folder, split)).map(parse)
        ).get_next()
        found = []
        while True:
            try:
                found.append(session.run(following))
            except tf.errors.OutOfRangeError:
                return found


def script(name, *arguments, cwd=None, environment=None):
    """Runs scripts/NAME as a user does. Returns (status, stdout, stderr)."""
    command = [sys.executable, os.path.join(ROOT, 'scripts', name)] + [str(a) for a in arguments]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=dict(os.environ, **(environment or {})),
        capture_output=True,
        timeout=300,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()
