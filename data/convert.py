"""Image files into sharded TFRecords: by several processes, the same bytes for the same seed
however many they are.

`write_split` does the work for every converter. A shard is written by one process, next to its
place, and a split appears in the output folder all at once, when each of its shards is whole: a
conversion that was stopped leaves no half of a data set. (`data/folders.py` and
`data/imagenet_archives.py` list the images.)
"""

import collections
import os
import shutil
import time

import numpy as np

from data import examples, images, tfrecord, workers
from data.progress import Progress
from mobilenet.errors import UsageError

Source = collections.namedtuple('Source', 'path label text synset boxes')
"""An image to convert. synset: str or None. boxes: [(xmin, ymin, xmax, ymax)] in fractions of the
image.
"""

Summary = collections.namedtuple(
    'Summary', 'split num_images num_classes num_shards num_skipped num_bytes seconds'
)

LABELS_FILE = 'labels.txt'
SHARD_BYTES = 128 << 20
REPORT_SECONDS = 0.5
IMAGES_WORTH_A_PROCESS = 50


def source(path, label, text='', synset=None, boxes=()):
    return Source(path, label, text, synset, boxes)


def prepare_output(out_dir, splits, overwrite):
    """Makes the folder. Raises UsageError where it holds shards of one of `splits` already, unless
    `overwrite`.
    """
    try:
        os.makedirs(out_dir, exist_ok=True)
    except OSError as error:
        raise UsageError(f'cannot make the folder {out_dir}: {error.strerror}')
    if not os.access(out_dir, os.W_OK):
        raise UsageError(f'{out_dir} is not writable: choose another output folder')
    there = [name for split in splits for name in shards_in(out_dir, split)]
    if there and not overwrite:
        more = ' and %d more' % (len(there) - 1) if there[1:] else ''
        raise UsageError(
            f'{out_dir} already holds {there[0]}{more}: choose another output folder, or --overwrite'
        )


def shards_in(folder, split):
    return sorted(
        name
        for name in os.listdir(folder)
        if name.startswith(split + '-') and '-of-' in name and '.partial' not in name
    )


def default_num_shards(sources, at_most=1024):
    """Shards of about 128 MB, from the sizes of the files."""
    size = 0
    for item in sources:
        try:
            size += os.path.getsize(item.path)
        except OSError:
            pass  # named when its turn comes
    return max(1, min(-(-size // SHARD_BYTES), at_most, len(sources)))


def check_num_shards(split, sources, num_shards):
    if num_shards > len(sources):
        raise UsageError(
            '%d shards are more than the %d images of %s: use fewer'
            % (num_shards, len(sources), split)
        )


def write_split(out_dir, split, sources, num_shards, seed, on_bad_image, num_processes):
    """Writes `sources`, shuffled by `seed` over all shards, as SPLIT-00000-of-NNNNN. Returns a
    Summary.

    on_bad_image: 'skip' names a file that is no image on stderr and leaves it out; 'stop' raises
    UsageError. UsageError is also raised with fewer images than shards, and where a shard would be
    left without a single image.
    """
    check_num_shards(split, sources, num_shards)
    started = time.time()
    order = np.random.RandomState(seed).permutation(len(sources))
    staging = os.path.join(out_dir, '.partial-' + split)
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
    os.mkdir(staging)
    try:
        tasks = [
            (
                os.path.join(staging, examples.shard_name(split, index, num_shards)),
                [sources[i] for i in part],
                on_bad_image,
            )
            for index, part in enumerate(np.array_split(order, num_shards))
        ]
        skipped = _run(tasks, split, len(sources), num_processes)
        num_bytes = sum(os.path.getsize(task[0]) for task in tasks)
        _put_in_place(staging, out_dir, split)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    num_classes = len({item.label for item in sources})
    return Summary(
        split,
        len(sources) - skipped,
        num_classes,
        num_shards,
        skipped,
        num_bytes,
        time.time() - started,
    )


def write_labels(out_dir, class_names, first_label=0):
    partial = os.path.join(out_dir, '.partial-' + LABELS_FILE)
    with open(partial, 'w', encoding='utf-8', errors='surrogateescape') as file:
        file.write(examples.labels_text(class_names, first_label))
    os.replace(partial, os.path.join(out_dir, LABELS_FILE))


def summary_line(summary):
    return '%s: %d images of %d class%s in %d file%s, %.1f MB, %.1f s%s' % (
        summary.split,
        summary.num_images,
        summary.num_classes,
        'es' * (summary.num_classes != 1),
        summary.num_shards,
        's' * (summary.num_shards != 1),
        summary.num_bytes / 1e6,
        summary.seconds,
        '; %d skipped' % summary.num_skipped if summary.num_skipped else '',
    )


def _run(tasks, split, total, num_processes):
    """Returns the number of skipped images."""
    skipped = 0
    num_processes = min(num_processes, len(tasks), -(-total // IMAGES_WORTH_A_PROCESS))
    with Progress(total, split, 'image') as progress:
        for event in _events(tasks, num_processes):
            if isinstance(event, workers.Died):
                raise RuntimeError(
                    f'a process that wrote {os.path.basename(event.task[0])} ended with status {event.exit_code} (out of memory?)'
                )
            if isinstance(event, workers.Report):
                done, bad = event.value
                for path, reason in bad:
                    progress.note(f'skipped {path}: {reason}')
                skipped += len(bad)
                progress.update(done)
    return skipped


def _events(tasks, num_processes):
    """As workers.run; a few images are done before a process has started, and right here."""
    if num_processes > 1:
        yield from workers.run(write_shard, tasks, num_processes)
        return
    for task in tasks:
        for value in write_shard(task):
            yield workers.Report(task, value)


def remove_split(out_dir, split, but=()):
    for name in set(shards_in(out_dir, split)) - set(but):
        os.remove(os.path.join(out_dir, name))


def _put_in_place(staging, out_dir, split):
    written = sorted(os.listdir(staging))
    remove_split(out_dir, split, but=written)
    for name in written:
        os.replace(os.path.join(staging, name), os.path.join(out_dir, name))


def write_shard(task):
    """In a worker. task: (path, sources, on_bad_image). Yields (images done, [(path, reason) of bad
    ones]) as it goes.
    """
    shard_path, sources, on_bad_image = task
    done, bad, next_report = 0, [], time.time() + REPORT_SECONDS
    with tfrecord.TFRecordWriter(shard_path) as writer:
        for item in sources:
            try:
                image = images.read_image(item.path)
            except images.NotAnImage as error:
                if on_bad_image == 'stop':
                    raise UsageError(f'{item.path}: {error}; remove it, or use --on_bad_image skip')
                bad.append((item.path, str(error)))
            else:
                writer.write(
                    examples.image_example(
                        image.encoded,
                        image.format,
                        image.height,
                        image.width,
                        image.channels,
                        item.label,
                        os.path.basename(item.path),
                        item.synset,
                        item.text,
                        item.boxes,
                    )
                )
            done += 1
            if time.time() >= next_report:
                yield done, bad
                done, bad, next_report = 0, [], time.time() + REPORT_SECONDS
        yield done, bad
        if not writer.num_records:
            raise UsageError(
                'none of the %d files for %s is an image: remove them, or use fewer shards'
                % (len(sources), os.path.basename(shard_path))
            )
