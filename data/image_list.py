"""Image files by their paths, as a data set without labels."""

from data import example_proto
from data.example_proto import Record
from data.tfrecord import BadRecord
from mobilenet import text

MAX_BYTES = 1 << 28


class ImageList:
    """The images of a list of paths, in its order; every label is 0."""

    def __init__(self, paths):
        self._paths, self.num_examples = list(paths), len(paths)
        self.num_classes, self.class_names, self.errors = 1, None, []

    def locate(self, record):
        return self._paths[record], None

    def describe(self, record):
        return self._paths[record]

    def read(self, record):
        """The Record. Raises BadRecord where the file cannot be read or is empty."""
        path = self._paths[record]
        try:
            encoded = text.read_bytes(path, MAX_BYTES)
        except text.Unreadable as error:
            raise BadRecord(path, None, str(error))
        if not encoded:
            raise BadRecord(path, None, 'the file is empty')
        return Record(encoded, 0, example_proto.NO_BOXES)

    def will_read(self, record):
        """Opening the file ahead would cost as much as it saves."""
