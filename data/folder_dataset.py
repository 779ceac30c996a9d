"""A folder of images as a data set: one class a folder, as they lie there."""

import os

from data import digest, folders
from data.image_list import ImageList
from mobilenet import text
from mobilenet.errors import UsageError

HELD_OUT_EVERY = 5
# Of more files, only a sample's sizes are in the fingerprint: it must not take minutes.
SIZES_TAKEN = 20000


class FolderDataset(ImageList):
    """Folders of images, one a class: DIR/train/CLASS/IMAGE and DIR/validation/CLASS/IMAGE, or
    DIR/CLASS/IMAGE (data/layout.py has the names of splits).

    Classes are numbered from 0 in order of name. Without a folder train, every fifth image (counted
    through all classes in order of name) is held out for validation. Hidden and system files are
    left alone; any other file has to be an image.
    """

    def __init__(self, dataset_dir, split, apply_exif=False):
        listing = folders.list_splits(dataset_dir)
        splits = listing.splits
        if None in splits:
            train, validation = folders.hold_out(splits[None], every=HELD_OUT_EVERY)
            splits = {'train': train, 'validation': validation}
        if split not in splits:
            raise UsageError(
                f'{dataset_dir} has a folder {os.path.basename(listing.places["train"])} but none '
                'named validation: make one with the same class folders'
            )
        self.dataset_dir, self.notes = dataset_dir, listing.notes
        files = [
            (path, label) for label, paths in enumerate(splits[split].values()) for path in paths
        ]
        super().__init__(files, list(splits[split]), apply_exif)
        if not self.num_examples:
            raise UsageError(
                f'no {split} images in {dataset_dir}: put the images of each class into a folder '
                'of its own, at least 5 images in all'
            )
        counts = {name: sum(map(len, classes.values())) for name, classes in splits.items()}
        self.summary = text.printable(
            f'{dataset_dir}: {self.num_classes} classes, {counts["train"]} images to train on, '
            + _held_out(listing.places, counts)
        )

    def changed_ns(self):
        """When the last of (a sample of) its files was changed."""
        step = -(-self.num_examples // SIZES_TAKEN)
        return max(digest.changed_ns(path) for path, _ in self._files[::step])

    def fingerprint(self):
        """See data.datasets.fingerprint."""
        step, rows = -(-self.num_examples // SIZES_TAKEN), []
        for number, (path, label) in enumerate(self._files):
            name = os.path.relpath(path, self.dataset_dir)
            rows.append((name, label, digest.size_of(path) if number % step == 0 else ''))
        return {'files': self.num_examples, 'digest': digest.of_rows(rows)}


def _held_out(places, counts):
    if None in places:
        return f'every {HELD_OUT_EVERY}th image held out ({counts["validation"]})'
    if 'validation' not in places:
        return 'none held out (no folder validation)'
    return f'{counts["validation"]} held out in {places["validation"]}'
