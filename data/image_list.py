"""Image files by their paths, as a data set."""

from data import example_proto, images
from data.tfrecord import BadRecord
from mobilenet import text


class ImageList:
    """The images of [(path, label)], in its order. apply_exif: turned as their EXIF data says."""

    def __init__(self, files, class_names=None, apply_exif=False):
        self._files, self.num_examples, self.apply_exif = files, len(files), apply_exif
        self.class_names, self.num_classes = class_names, len(class_names or [None])
        self.errors = []

    def locate(self, record):
        return self._files[record][0], None

    def describe(self, record):
        return text.printable(self._files[record][0])

    def read(self, record):
        """The Record. Raises BadRecord where the file cannot be read or is empty."""
        path, label = self._files[record]
        try:
            encoded = text.read_bytes(path, images.MAX_FILE_BYTES)
            if self.apply_exif and images.is_turned(encoded):
                encoded = images.made_png(encoded, True).encoded
        except (text.Unreadable, images.NotAnImage) as error:
            raise BadRecord(path, None, str(error))
        if not encoded:
            raise BadRecord(path, None, 'the file is empty')
        return example_proto.Record(encoded, label, example_proto.NO_BOXES)

    def will_read(self, record):
        """Opening the file ahead would cost as much as it saves."""
