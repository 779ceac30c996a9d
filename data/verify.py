"""Every record of a data set read and decoded as training would, by several processes; what is
wrong is listed.

The reading and decoding are the input pipeline's own, over the whole of each image: what passes
here does not stop a run.
"""

import collections
import hashlib
import time

import numpy as np

from data import array_cache, decoder_words, digest, workers
from mobilenet import devices

RECORDS_A_TASK = 512
RECORDS_A_REPORT = 32
SAVE_SECONDS = 60
DECODED_SIZE = 8  # pixels a side after the resize: the smallest there is

Finding = collections.namedtuple('Finding', 'place reason')
Checked = collections.namedtuple('Checked', 'findings labels heights widths sizes hashes')
"""Of a split of n records, numpy arrays [n] in their order: label (-1 where the record is bad),
height, width, bytes of the encoded image, and 16 bytes of its hash.
"""

_Task = collections.namedtuple('_Task', 'name dataset_dir split start stop')
_opened = {}


def check_splits(name, dataset_dir, datasets, num_processes, progress, restart=False):
    """Checks all records of {split: dataset}, opened by that name with on_bad_record='skip'.
    Returns {split: Checked}.

    What a check that was stopped had found good is not looked at again, unless `restart`.
    """
    findings = {split: {} for split in datasets}
    columns = {split: _empty_columns(dataset.num_examples) for split, dataset in datasets.items()}
    kept = _Kept(datasets, columns)
    if not restart:
        progress.jump(kept.load())
    tasks = [
        _Task(name, dataset_dir, split, start, stop)
        for split, values in columns.items()
        for start, stop in _unseen(values.labels)
    ]
    try:
        while tasks:
            tasks = _run(tasks, datasets, findings, columns, num_processes, progress, kept)
    except BaseException:
        kept.save()
        raise
    kept.remove()
    for split, dataset in datasets.items():
        found = [Finding(error.place, error.reason) for error in dataset.errors]
        found += [findings[split][record] for record in sorted(findings[split])]
        columns[split] = columns[split]._replace(findings=found)
    return columns


def _unseen(labels):
    """(start, stop) of the runs of records that are not known to be good, at most a task long."""
    unseen = np.flatnonzero(labels < 0)
    runs = np.split(unseen, np.flatnonzero(np.diff(unseen) > 1) + 1) if len(unseen) else []
    for run in runs:
        for start in range(run[0], run[-1] + 1, RECORDS_A_TASK):
            yield start, min(start + RECORDS_A_TASK, int(run[-1]) + 1)


class _Kept:
    """The columns of good records in the user's cache folder, saved now and then."""

    def __init__(self, datasets, columns):
        rows = [(s, d.fingerprint()['digest'], d.changed_ns()) for s, d in datasets.items()]
        self.path = array_cache.path('check', digest.of_rows(rows))
        self.columns, self._next = columns, time.monotonic() + SAVE_SECONDS

    def load(self):
        """Fills the columns from the last time; the number of records known to be good."""
        saved = array_cache.load(self.path)
        if saved is None:
            return 0
        for name, column in self._named():
            column[:] = saved[name]
        return sum(int((values.labels >= 0).sum()) for values in self.columns.values())

    def save(self):
        array_cache.save(self.path, **dict(self._named()))

    def save_now_and_then(self):
        if time.monotonic() >= self._next:
            self.save()
            self._next = time.monotonic() + SAVE_SECONDS

    def remove(self):
        array_cache.remove(self.path)

    def _named(self):
        for split, values in self.columns.items():
            for name, column in zip(Checked._fields[1:], values[1:]):
                yield f'{split}_{name}', column


def _empty_columns(total):
    return Checked(
        [],
        np.full(total, -1, np.int64),
        np.zeros(total, np.int32),
        np.zeros(total, np.int32),
        np.zeros(total, np.int64),
        np.zeros(total, 'V16'),
    )


def duplicates(hashes_of_splits):
    """[[(split, record), …]] of the records whose encoded images are equal, each list two long or
    longer.

    hashes_of_splits: {split: V16 array}; records without a hash (bad ones) don't count.
    """
    places = [
        (split, record)
        for split, hashes in hashes_of_splits.items()
        for record in range(len(hashes))
    ]
    hashes = np.concatenate(list(hashes_of_splits.values()))
    # numpy neither sorts nor compares V16 by value: two unsigned halves do.
    halves = hashes.view(np.uint64).reshape([-1, 2])
    order = np.lexsort([halves[:, 1], halves[:, 0]])
    ranked = halves[order]
    same = (ranked[1:] == ranked[:-1]).all(1) & (ranked[1:] != 0).any(1)
    groups = []
    for index in np.flatnonzero(same):
        if index and same[index - 1]:
            groups[-1].append(places[order[index + 1]])
        else:
            groups.append([places[order[index]], places[order[index + 1]]])
    return sorted(groups)


def class_counts(checked, num_classes):
    """int array [num_classes] of the good records of a Checked."""
    return np.bincount(checked.labels[checked.labels >= 0], minlength=num_classes)


def spread(values):
    """Smallest, largest and median of an array, in words."""
    return f'{values.min()} to {values.max()} (median {np.median(values):.0f})'


def _run(tasks, datasets, findings, columns, num_processes, progress, kept):
    """One round. Returns what is left of tasks within which the decoder took its process down."""
    left = []
    for event in workers.run(check_records, tasks, min(num_processes, len(tasks))):
        split = event.task.split
        if isinstance(event, workers.Died):
            culprit = event.task.start if event.last is None else event.last[1]
            if culprit < event.task.stop:
                findings[split][culprit] = Finding(
                    datasets[split].describe(culprit),
                    f'the process that read it ended with status {event.exit_code}',
                )
                progress.update(1)
                left.append(event.task._replace(start=culprit + 1))
        elif isinstance(event, workers.Report):
            start, stop, bad, *arrays = event.value
            for record, reason in bad:
                findings[split][record] = Finding(datasets[split].describe(record), reason)
            for column, values in zip(columns[split][1:], arrays):
                column[start:stop] = values
            progress.update(stop - start)
            kept.save_now_and_then()
    return [task for task in left if task.start < task.stop]


def check_records(task):
    """In a worker. Yields (start, stop, [(record, reason)], labels, heights, widths, sizes, hashes)
    of runs of records.
    """
    dataset, pipeline = _open(task)
    for start in range(task.start, task.stop, RECORDS_A_REPORT):
        stop = min(start + RECORDS_A_REPORT, task.stop)
        bad, rows = [], []
        for record in range(start, stop):
            row, reason = _check(dataset, pipeline, record)
            rows.append(row)
            if reason:
                bad.append((record, reason))
        labels, heights, widths, sizes, hashes = zip(*rows)
        yield start, stop, bad, labels, heights, widths, sizes, np.array(hashes, 'V16')


def _check(dataset, pipeline, record):
    """((label, height, width, bytes, hash), None or what is wrong). A record that is wrong has
    label -1.
    """
    from data import reader
    from data.tfrecord import BadRecord

    try:
        loaded = reader.load(dataset, record)
    except BadRecord as error:
        return (-1, 0, 0, 0, bytes(16)), error.reason
    digest = hashlib.blake2b(loaded.encoded, digest_size=16).digest()
    with decoder_words.named(dataset.describe(record)):
        error = pipeline.check(record)
    if error is not None:
        return (-1, 0, 0, 0, bytes(16)), error.reason
    return (loaded.label, loaded.height, loaded.width, len(loaded.encoded), digest), None


def _open(task):
    """The data set and a pipeline that decodes whole images, in order; once a process."""
    key = task[:3]
    if key not in _opened:
        import data

        devices.import_tensorflow()
        dataset = data.open_dataset(*key, on_bad_record='skip')
        _opened[key] = dataset, data.EvalPipeline(dataset, 1, DECODED_SIZE, 'none', num_threads=1)
    return _opened[key]
