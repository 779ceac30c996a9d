"""Image files into sharded TFRecords: by several processes, the same bytes for the same seed
however many they are.

`write_split` does the work for every converter. A shard is written by one process, next to its
place, and a split appears in the output folder all at once, when each of its shards is whole: a
conversion that was stopped leaves no half of a data set there, and goes on with the shards that it
had not finished. (`data/folders.py` and `data/imagenet_archives.py` list the images.)
"""

import collections
import functools
import os
import shutil
import time

import numpy as np

from data import decoder_words, digest, examples, images, tfrecord, workers
from data.progress import Progress
from mobilenet import devices, json_files, text
from mobilenet.errors import UsageError

Source = collections.namedtuple('Source', 'path label text synset boxes')
"""An image to convert. synset: str or None. boxes: [(xmin, ymin, xmax, ymax)] in fractions of the
image.
"""

Summary = collections.namedtuple(
    'Summary', 'split num_images num_classes num_shards num_skipped num_bytes seconds'
)

Shard = collections.namedtuple('Shard', 'path sources on_bad_image apply_exif')

LABELS_FILE = 'labels.txt'
DONE_SUFFIX = '.done'
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
        more = f' and {len(there) - 1} more' if there[1:] else ''
        raise UsageError(
            f'{out_dir} already holds {there[0]}{more}: choose another output folder, or '
            '--overwrite'
        )


def shards_in(folder, split):
    return [
        name
        for name in text.names_in(folder)
        if name.startswith(split + '-') and '-of-' in name and '.partial' not in name
    ]


def default_num_shards(sources):
    """Shards of about 128 MB, from the sizes of the files; 1024 at most."""
    size = 0
    for item in sources:
        try:
            size += os.path.getsize(item.path)
        except OSError:
            pass  # named when its turn comes
    return max(1, min(-(-size // SHARD_BYTES), 1024, len(sources)))


def check_num_shards(split, sources, num_shards):
    if num_shards > len(sources):
        raise UsageError(
            f'{num_shards} shards are more than the {len(sources)} images of {split}: give '
            f'--{split}_shards {len(sources)} or fewer'
        )


def write_split(
    out_dir, split, sources, num_shards, seed, on_bad_image, num_processes, apply_exif=False
):
    """Writes `sources`, shuffled by `seed` over all shards, as SPLIT-00000-of-NNNNN. Returns a
    Summary.

    on_bad_image: 'skip' names a file that is no image on stderr and leaves it out; 'stop' raises
    UsageError. UsageError is also raised with fewer images than shards, and where a shard would be
    left without a single image.
    """
    check_num_shards(split, sources, num_shards)
    started = time.monotonic()
    order = np.random.RandomState(seed).permutation(len(sources))
    staging = os.path.join(out_dir, '.partial-' + split)
    os.makedirs(staging, exist_ok=True)
    tasks = [
        Shard(
            os.path.join(staging, examples.shard_name(split, index, num_shards)),
            [sources[i] for i in part],
            on_bad_image,
            apply_exif,
        )
        for index, part in enumerate(np.array_split(order, num_shards))
    ]
    try:
        skipped = _run(tasks, split, len(sources), num_processes)
    except BaseException:
        if not _tidy(staging, tasks):  # whole shards stay, for the next time
            os.rmdir(staging)
        raise
    num_bytes = sum(os.path.getsize(task.path) for task in tasks)
    _put_in_place([task.path for task in tasks], out_dir, split)
    shutil.rmtree(staging, ignore_errors=True)
    num_classes = len({item.label for item in sources})
    return Summary(
        split,
        len(sources) - skipped,
        num_classes,
        num_shards,
        skipped,
        num_bytes,
        time.monotonic() - started,
    )


def write_labels(out_dir, class_names, first_label=0):
    text.write_text(
        os.path.join(out_dir, LABELS_FILE), examples.labels_text(class_names, first_label)
    )


def summary_line(summary):
    line = (
        f'{summary.split}: {summary.num_images} images '
        f'of {summary.num_classes} class{"es" * (summary.num_classes != 1)} '
        f'in {summary.num_shards} file{"s" * (summary.num_shards != 1)}, '
        f'{summary.num_bytes / 1e6:.1f} MB, {summary.seconds:.1f} s'
    )
    return line + (f'; {summary.num_skipped} skipped' if summary.num_skipped else '')


def _run(tasks, split, total, num_processes):
    """Writes the shards that a stopped conversion has not left behind. Returns the number of
    skipped images.
    """
    skipped, whole = 0, _tidy(os.path.dirname(tasks[0].path), tasks)
    with Progress(total, split, 'image') as progress:
        if whole:
            progress.note(f'{split}: {len(whole)} of {len(tasks)} files are there already')
        for path, bad in whole.items():
            skipped += _note_skipped(progress, bad)
            progress.jump(next(len(task.sources) for task in tasks if task.path == path))
        left = [task for task in tasks if task.path not in whole]
        num_processes = min(num_processes, len(left), -(-total // IMAGES_WORTH_A_PROCESS))
        for event in _events(left, num_processes):
            if isinstance(event, workers.Died):
                raise RuntimeError(
                    f'a process that wrote {os.path.basename(event.task.path)} ended with status '
                    f'{event.exit_code} (out of memory?)'
                )
            if isinstance(event, workers.Report):
                done, bad = event.value
                skipped += _note_skipped(progress, bad)
                progress.update(done)
    return skipped


def _note_skipped(progress, bad):
    for path, reason in bad:
        progress.note(f'skipped {path}: {reason}')
    return len(bad)


def _tidy(staging, tasks):
    """{path: [(path, reason) of skipped files]} of the shards in the staging folder that are whole
    and of these very sources; anything else is removed from it.
    """
    done = {task.path: json_files.read_object(task.path + DONE_SUFFIX) for task in tasks}
    whole = {t.path: done[t.path]['bad'] for t in tasks if _tells_of(done[t.path], t)}
    kept = set(whole) | {path + DONE_SUFFIX for path in whole}
    for entry in list(os.scandir(staging)):
        if entry.path not in kept:
            (shutil.rmtree if entry.is_dir(follow_symlinks=False) else os.remove)(entry.path)
    return whole


def _tells_of(done, task):
    """Whether what lies beside a shard is of this one, as it is now."""
    if not os.path.isfile(task.path):
        return False
    size, bad = os.path.getsize(task.path), done.get('bad')
    told = isinstance(bad, list) and all(
        isinstance(pair, list) and [*map(type, pair)] == [str, str] for pair in bad
    )
    return told and done.get('bytes') == size and done.get('key') == _key(task)


def _key(task):
    """Stands for all that decides a shard's bytes, as far as it shows without opening a file."""
    rows = [(task.on_bad_image, task.apply_exif)]
    for item in task.sources:
        try:
            status = os.stat(item.path)
            rows.append((*item, status.st_size, status.st_mtime_ns))
        except OSError as error:
            rows.append((*item, error.errno))
    return digest.of_rows(rows)


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


def _put_in_place(paths, out_dir, split):
    remove_split(out_dir, split, but=map(os.path.basename, paths))
    for path in paths:
        os.replace(path, os.path.join(out_dir, os.path.basename(path)))


def write_shard(task):
    """In a worker. Yields (images done, [(path, reason) of bad ones]) as it goes."""
    done, bad, reported, next_report = 0, [], 0, time.monotonic() + REPORT_SECONDS
    key = _key(task)  # of before the files are read
    with tfrecord.TFRecordWriter(task.path) as writer:
        for item in task.sources:
            try:
                writer.write(_example(item, _read(item.path, task.apply_exif)))
            except images.NotAnImage as error:
                if task.on_bad_image == 'stop':
                    raise UsageError(f'{item.path}: {error}; remove it, or use --on_bad_image skip')
                bad.append((item.path, str(error)))
            done += 1
            if time.monotonic() >= next_report:
                yield done, bad[reported:]
                done, reported, next_report = 0, len(bad), time.monotonic() + REPORT_SECONDS
        yield done, bad[reported:]
        if not writer.num_records:
            raise UsageError(
                f'none of the {len(task.sources)} files for {os.path.basename(task.path)} is an '
                'image: remove them, or use fewer shards'
            )
    size = os.path.getsize(task.path)
    json_files.write_object(task.path + DONE_SUFFIX, {'key': key, 'bad': bad, 'bytes': size})


@functools.lru_cache(maxsize=None)
def _decoder():
    """Training's own: one a worker, whatever number of shards it writes."""
    devices.import_tensorflow()
    from data.decoding import Decoder

    return Decoder()


def _read(path, apply_exif):
    """The EncodedImage of a file. Training's own decoder has the last word: it refuses a damaged
    JPEG now and then that Pillow takes. Raises NotAnImage.
    """
    image = images.read_image(path, apply_exif)
    with decoder_words.named(path):
        reason = _decoder().refusal(image.encoded, image.height, image.width)
    if reason:
        raise images.NotAnImage(f'training cannot decode it: {reason}')
    return image


def _example(item, image):
    return examples.image_example(
        image.encoded,
        image.format,
        image.height,
        image.width,
        image.channels,
        item.label,
        text.utf8_name(os.path.basename(item.path)),
        item.synset,
        item.text,
        item.boxes,
    )
