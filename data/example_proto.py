"""tf.train.Example without importing TensorFlow: its message declared anew,
byte-compatible.

Flag checks and the readers need the labels of a few records; importing TensorFlow for that takes
seconds.
"""

import collections

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
import numpy as np


def _declare():
    """tensorflow/core/example/example.proto and feature.proto, in a package of our own."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name='mobilenet_data.proto', package='mobilenet_data', syntax='proto3'
    )

    def add(parent, name, *fields):
        entry = parent.add(name=name)
        for number, (field_name, kind, label, type_name) in enumerate(fields, 1):
            entry.field.add(
                name=field_name, number=number, type=kind, label=label, type_name=type_name
            )
        return entry

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    prefix = '.mobilenet_data.'
    add(file.message_type, 'BytesList', ('value', field.TYPE_BYTES, many, None))
    add(file.message_type, 'FloatList', ('value', field.TYPE_FLOAT, many, None))
    add(file.message_type, 'Int64List', ('value', field.TYPE_INT64, many, None))
    add(
        file.message_type,
        'Feature',
        ('bytes_list', field.TYPE_MESSAGE, one, prefix + 'BytesList'),
        ('float_list', field.TYPE_MESSAGE, one, prefix + 'FloatList'),
        ('int64_list', field.TYPE_MESSAGE, one, prefix + 'Int64List'),
    )
    features = add(
        file.message_type,
        'Features',
        ('feature', field.TYPE_MESSAGE, many, prefix + 'Features.FeatureEntry'),
    )
    # A map on the wire is a list of entries; declared as a map, it would be copied once more.
    add(
        features.nested_type,
        'FeatureEntry',
        ('key', field.TYPE_STRING, one, None),
        ('value', field.TYPE_MESSAGE, one, prefix + 'Feature'),
    )
    add(file.message_type, 'Example', ('features', field.TYPE_MESSAGE, one, prefix + 'Features'))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(
        pool.FindMessageTypeByName('mobilenet_data.Example')
    )


Example = _declare()
BOX_KEYS = ['image/object/bbox/' + side for side in ('ymin', 'xmin', 'ymax', 'xmax')]
NO_BOXES = np.zeros([0, 4], np.float32)


KINDS = ('bytes_list', 'float_list', 'int64_list')

Record = collections.namedtuple('Record', 'encoded label boxes')
"""encoded: bytes of the image file; label: int; boxes: float32 [m, 4] as ymin, xmin, ymax, xmax in
0..1.
"""


def parse(data, num_classes):
    """The Record of an Example's bytes. Raises ValueError with the reason."""
    try:
        example = Example()
        is_whole = example.MergeFromString(data) == len(data)
    except message.DecodeError:
        is_whole = False
    if not is_whole:
        raise ValueError('not a tf.train.Example')
    features = {entry.key: entry for entry in example.features.feature}
    encoded = _one(features, 'image/encoded', 'bytes_list')
    label = _one(features, 'image/class/label', 'int64_list')
    if not encoded:
        raise ValueError('image/encoded is empty')
    if not 0 <= label < num_classes:
        raise ValueError(
            f'label {label} is out of range: the data set has {num_classes} classes, 0 to '
            f'{num_classes - 1}'
        )
    return Record(encoded, label, _boxes(features))


def _boxes(features):
    if not _values(features, BOX_KEYS[0], 'float_list'):
        return NO_BOXES
    sides = [_values(features, key, 'float_list') for key in BOX_KEYS]
    if len({len(side) for side in sides}) != 1:
        raise ValueError('the box coordinates differ in number')
    boxes = np.array(sides, np.float32).T
    if not np.isfinite(boxes).all():
        raise ValueError('a box coordinate is not finite')
    return boxes


def _values(features, key, kind):
    return getattr(features[key].value, kind).value if key in features else ()


def _one(features, key, kind):
    values = _values(features, key, kind)
    if len(values) == 1:
        return values[0]
    others = [k for k in KINDS if k != kind and _values(features, key, k)]
    if others:
        raise ValueError(f'{key} is stored as {others[0]}: it has to be {kind}')
    if key not in features:
        found = ', '.join(sorted(k for k in features if not k.startswith('image/object/')))
        raise ValueError(f'no {key}: the record holds {found or "nothing"}')
    raise ValueError(f'{key} has {len(values)} values instead of one')
