"""tf.train.Example in the layout of TF-slim's ImageNet records, as bytes.

The few lines of protobuf's wire format are written out here for two reasons: the converters need no
TensorFlow in each of their processes, and the same input gives the same bytes (protobuf writes the
map of features in no fixed order).

Source of the layout: tensorflow/models, research/slim/datasets/build_imagenet_data.py
(`_convert_to_example`).
"""

import struct

SPLITS = ('train', 'validation')


def shard_name(split, index, num_shards):
    """'train-00003-of-01024'"""
    return '%s-%05d-of-%05d' % (split, index, num_shards)


def image_example(
    encoded,
    image_format,
    height,
    width,
    channels,
    label,
    filename='',
    synset=None,
    text='',
    boxes=(),
):
    """The bytes of one tf.train.Example.

    Args:
      encoded: bytes of the image file.
      image_format: 'JPEG' or 'PNG'.
      height, width: pixels. channels: 1 grey, 3 RGB, 4 CMYK or RGB with alpha, as in the file.
      label: int; in ImageNet's numbering 0 is the background.
      filename, synset, text: str; synset None leaves the key out.
      boxes: [(xmin, ymin, xmax, ymax)] in fractions of the image, possibly empty.
    """
    columns = list(zip(*boxes)) or [(), (), (), ()]
    four = b'CMYK' if image_format == 'JPEG' else b'RGBA'
    colorspace = {1: b'grayscale', 4: four}.get(channels, b'RGB')
    features = {
        'image/height': _int64_list([height]),
        'image/width': _int64_list([width]),
        'image/colorspace': _bytes_list([colorspace]),
        'image/channels': _int64_list([channels]),
        'image/class/label': _int64_list([label]),
        'image/class/text': _bytes_list([_utf8(text)]),
        'image/object/bbox/xmin': _float_list(columns[0]),
        'image/object/bbox/ymin': _float_list(columns[1]),
        'image/object/bbox/xmax': _float_list(columns[2]),
        'image/object/bbox/ymax': _float_list(columns[3]),
        'image/object/bbox/label': _int64_list([label] * len(boxes)),
        'image/format': _bytes_list([image_format.encode()]),
        'image/filename': _bytes_list([_utf8(filename)]),
        'image/encoded': _bytes_list([encoded]),
    }
    if synset is not None:
        features['image/class/synset'] = _bytes_list([_utf8(synset)])
    # message Example { Features features = 1; }
    # message Features { map<string, Feature> feature = 1; }
    entries = (
        _field(1, _field(1, key.encode()) + _field(2, features[key])) for key in sorted(features)
    )
    return _field(1, b''.join(entries))


def labels_text(class_names, first_label=0):
    """The contents of slim's labels.txt: '0:tench' a line. A line break within a name becomes a
    space.
    """
    return ''.join(
        '%d:%s\n' % (label, ' '.join(name.split()))
        for label, name in enumerate(class_names, first_label)
    )


def _utf8(text):
    """A file name need not be UTF-8: its stray bytes, which Python keeps as surrogates, go through
    as they are.
    """
    return text.encode('utf-8', 'surrogateescape')


def _varint(value):
    """Base 128, low bits first; negative numbers as 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number, payload):
    """A length-delimited field (wire type 2)."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


# message Feature { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; },
# each list with a repeated `value = 1`, numbers packed.
def _bytes_list(values):
    return _field(1, b''.join(_field(1, value) for value in values))


def _float_list(values):
    return _field(2, _field(1, struct.pack('<%df' % len(values), *values)) if values else b'')


def _int64_list(values):
    return _field(3, _field(1, b''.join(map(_varint, values))) if values else b'')
