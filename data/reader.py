"""Reads chunks of records and plans their augmentation: all of the input pipeline that is Python and numpy.

A chunk is a run of positions of one batch. What comes back is what the decoding graph needs, with the crop window drawn
from the image's header, so that only the crop has to be decoded.
"""

import collections
import threading

import numpy as np

from data import augment, images
from data.image_header import read_header
from data.tfrecord import BadRecord

# So many records in a row that cannot be used are no oddities any more.
MAX_REPLACEMENTS = 100

# encoded: object [n] of bytes, JPEG or PNG; is_png: bool [n]; windows: int32 [n, 4] as y, x, height, width;
# flips: bool [n]; colours: float32 [n, 3] (augment.colours); labels: int32 [n]; weights: float32 [n], 0 for what must not
# count; positions: int64 [n].
Chunk = collections.namedtuple(
    'Chunk', 'encoded is_png windows flips colours labels weights positions')
Loaded = collections.namedtuple('Loaded', 'encoded is_png height width label boxes')


def _blank():
    """A 1x1 PNG that stands where there is nothing to read; its weight is 0."""
    import io
    from PIL import Image
    out = io.BytesIO()
    Image.new('RGB', (1, 1)).save(out, 'PNG')
    return Loaded(out.getvalue(), True, 1, 1, 0, np.zeros([0, 4], np.float32))


def load(dataset, record):
    """The Loaded record, anything but JPEG and PNG made a PNG. Raises BadRecord."""
    encoded, label, boxes = dataset.read(record)
    try:
        header = read_header(encoded)
        if header is None:
            converted = images.encoded_image(encoded)
            return Loaded(converted.encoded, converted.format == 'PNG', converted.height,
                          converted.width, label, boxes)
    except (ValueError, images.NotAnImage) as error:
        raise BadRecord(*dataset.locate(record), reason=str(error))
    return Loaded(encoded, header.format == 'PNG', header.height, header.width, label, boxes)


class ChunkReader:
    """Callable: positions int64 [n] -> Chunk. Called from several threads at once.

    With on_bad_record='stop' a record that cannot be used raises BadRecord. With 'skip' it is noted in `bad_records`
    ({place: reason}) and, in training, the next usable one in the order stands in for it; in evaluation it gets weight 0.
    """

    def __init__(self, dataset, order, preprocessing_name, image_size, training, augmented,
                 on_bad_record):
        self.dataset, self.order = dataset, order
        self.preprocessing_name, self.image_size = preprocessing_name, image_size
        self.training, self.augmented = training, augmented
        self.on_bad_record = on_bad_record
        self.bad_records = collections.OrderedDict()
        self._lock = threading.Lock()
        self._blank = _blank()

    def __call__(self, positions):
        epochs, records = self.order(positions)
        weights = np.ones([len(positions)], np.float32)
        loaded = []
        for i, position in enumerate(positions):
            if not self.training and position >= self.dataset.num_examples:
                loaded.append(self._blank)
                weights[i] = 0
                continue
            try:
                loaded.append(load(self.dataset, int(records[i])))
            except BadRecord as error:
                if self.on_bad_record == 'stop':
                    raise
                self.note(error)
                weights[i] = 0
                if self.training:
                    epochs[i], records[i], substitute = self._next_loadable(position + 1)
                    loaded.append(substitute)
                else:
                    loaded.append(self._blank)
        return self._chunk(positions, epochs, records, loaded, weights)

    def note(self, error):
        """Keeps a BadRecord in `bad_records`, once."""
        with self._lock:
            self.bad_records.setdefault(error.place, error.reason)

    def _next_loadable(self, position):
        for candidate in range(position, position + MAX_REPLACEMENTS):
            epochs, records = self.order(np.array([candidate]))
            try:
                return epochs[0], records[0], load(self.dataset, int(records[0]))
            except BadRecord as error:
                self.note(error)
        raise BadRecord(*self.dataset.locate(int(records[0])), reason=(
            'the last of %d records in a row that cannot be used' % MAX_REPLACEMENTS))

    def _chunk(self, positions, epochs, records, loaded, weights):
        heights = np.array([item.height for item in loaded], np.int64)
        widths = np.array([item.width for item in loaded], np.int64)
        windows, flips, colours = augment.plan(
            self.preprocessing_name, self.image_size, self.order.seed, epochs, records, heights,
            widths, [item.boxes for item in loaded], self.training and self.augmented)
        encoded = np.empty([len(loaded)], object)
        encoded[:] = [item.encoded for item in loaded]
        return Chunk(encoded, np.array([item.is_png for item in loaded]), windows, flips, colours,
                     np.array([item.label for item in loaded], np.int32), weights, positions)
