"""tf.train.Example in the layout of TF-slim's ImageNet records, as bytes.

The same input gives the same bytes: the features are in order of their keys, where TensorFlow's own
class writes its map in no fixed order.

Source of the layout: tensorflow/models, research/slim/datasets/build_imagenet_data.py
(`_convert_to_example`).
"""

from data.example_proto import Example

SPLITS = ('train', 'validation')


def shard_name(split, index, num_shards):
    """'train-00003-of-01024'"""
    return f'{split}-{index:05d}-of-{num_shards:05d}'


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
    example = Example()
    for key in sorted(features):
        kind, values = features[key]
        entry = example.features.feature.add(key=key)
        getattr(entry.value, kind).SetInParent()  # an empty list is there, too
        getattr(entry.value, kind).value.extend(values)
    return example.SerializeToString()


def labels_text(class_names, first_label=0):
    """The contents of slim's labels.txt: '0:tench' a line. A line break within a name becomes a
    space.
    """
    return ''.join(
        f'{label}:{" ".join(name.split())}\n' for label, name in enumerate(class_names, first_label)
    )


def _utf8(text):
    """A file name need not be UTF-8: its stray bytes, which Python keeps as surrogates, go through
    as they are.
    """
    return text.encode('utf-8', 'surrogateescape')


def _bytes_list(values):
    return 'bytes_list', values


def _float_list(values):
    return 'float_list', values


def _int64_list(values):
    return 'int64_list', values
