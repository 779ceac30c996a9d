"""Reads a record and plans its augmentation: all of the input pipeline that is Python.

What comes back is what the decoding graph needs, with the window drawn from the image's header, so
that only the window has to be decoded.
"""

import collections
import io
import threading

import numpy as np

from data import augment, images
from data.example_proto import NO_BOXES
from data.image_header import read_header
from data.tfrecord import BadRecord

# So many records in a row that cannot be used are no oddities any more.
MAX_REPLACEMENTS = 100
# The disk is asked for a record this many positions ahead.
READ_AHEAD = 64

# encoded: bytes, JPEG or PNG; window: int32 [4] as y, x, height, width; flip: bool; colour: float32
# [3] (see augment.plan); label: int; weight: 0 for what must not count, else 1; pixels: how many
# the whole image has.
Example = collections.namedtuple('Example', 'encoded window flip colour label weight pixels')
Loaded = collections.namedtuple('Loaded', 'encoded height width label boxes')


def load(dataset, record):
    """The Loaded record, anything but JPEG and PNG made a PNG. Raises BadRecord."""
    encoded, label, boxes = dataset.read(record)
    try:
        header = read_header(encoded)
        if header is None:
            header = images.made_png(encoded)
            encoded = header.encoded
    except (ValueError, images.NotAnImage) as error:
        raise BadRecord(*dataset.locate(record), reason=str(error))
    return Loaded(encoded, header.height, header.width, label, boxes)


def blank_image():
    """A 1x1 PNG that stands where there is nothing to show."""
    from PIL import Image

    out = io.BytesIO()
    Image.new('RGB', (1, 1)).save(out, 'PNG')
    return Loaded(out.getvalue(), 1, 1, 0, NO_BOXES)


class Reader:
    """Callable: position -> Example. Called from several threads at once.

    With on_bad_record='stop' a record that cannot be used raises BadRecord. With 'skip' it is noted
    in `bad_records` ({place: reason}, from the start with what the data set had to leave out), and
    the next usable one in the order stands in for it; in evaluation, a blank of weight 0.
    """

    def __init__(
        self,
        dataset,
        order,
        preprocessing_name,
        image_size,
        training,
        augmented,
        on_bad_record,
        augmentation='auto',
    ):
        self.dataset, self.order = dataset, order
        self.preprocessing_name, self.image_size = preprocessing_name, image_size
        self.training, self.augmented = training, augmented
        self.augmentation = augmentation
        self.on_bad_record = on_bad_record
        self.bad_records = collections.OrderedDict(
            (error.place, error.reason) for error in dataset.errors
        )
        self._lock = threading.Lock()
        self._blank = blank_image()

    def __call__(self, position):
        if not self.training and position >= self.dataset.num_examples:
            return self.blank()
        self.dataset.will_read(self.order(position + READ_AHEAD)[1])
        if self.on_bad_record == 'stop':
            return self.read(position)
        try:
            return self.read(position)
        except BadRecord as error:
            self.note(error)
            return self.stand_in(position)

    def read(self, position):
        """The Example at a position. Raises BadRecord."""
        epoch, record = self.order(position)
        loaded = load(self.dataset, record)
        return self._example(loaded, augment.key_of(self.order.seed, epoch, record), 1)

    def blank(self):
        return self._example(self._blank, np.uint64(0), 0)

    def stand_in(self, position, usable=lambda position: None):
        """What takes the place of the record at a position: a function of the data alone, not of
        who asks when.

        usable: position -> None, or a BadRecord. Raises BadRecord after 100 that cannot be used.
        """
        if not self.training:
            return self.blank()
        for candidate in range(position + 1, position + 1 + MAX_REPLACEMENTS):
            try:
                error, example = usable(candidate), self.read(candidate)
            except BadRecord as raised:
                error = raised
            if error is None:
                return example
            self.note(error)
        raise BadRecord(
            *self.dataset.locate(self.order(candidate)[1]),
            reason=f'the last of {MAX_REPLACEMENTS} records in a row that cannot be used',
        )

    def undecodable(self, position, error):
        """The BadRecord of a TensorFlow error in decoding."""
        return BadRecord(
            *self.dataset.locate(self.order(position)[1]), reason=error.message.split('\n')[0]
        )

    def note(self, error):
        """Keeps a BadRecord in `bad_records`, once."""
        with self._lock:
            self.bad_records.setdefault(error.place, error.reason)

    def _example(self, loaded, key, weight):
        window, flip, colour = augment.plan(
            self.preprocessing_name,
            self.image_size,
            key,
            loaded.height,
            loaded.width,
            loaded.boxes,
            self.augmented,
            self.augmentation,
        )
        pixels = loaded.height * loaded.width
        return Example(loaded.encoded, window, flip, colour, loaded.label, weight, pixels)
