"""What a path is that is no checkpoint: words for what goes wrong in downloads and copies."""

import os
import re

from mobilenet import text

# The last 8 bytes of a LevelDB table, which checkpoints were before TensorFlow 0.12 (V1):
# tensorflow/core/lib/io/format.h, kTableMagicNumber.
TABLE_MAGIC = b'\x57\xfb\x80\x8b\x24\x75\x47\xdb'
OTHER_KINDS = (
    (('.tgz', '.tar', '.zip', '.gz'), 'is an archive: unpack it first'),
    (('.h5', '.hdf5', '.keras'), "is Keras's: load it there, and save it by tf.train.Saver"),
    (('.pt', '.pth'), "is PyTorch's, not TensorFlow's"),
    (('.tflite',), 'is for TensorFlow Lite: give the checkpoint that it was made of'),
    (('.onnx',), 'is for ONNX: give the checkpoint that it was made of'),
)
OTHER_SUFFIXES = tuple(suffix for suffixes, _ in OTHER_KINDS for suffix in suffixes)
DATA = re.compile(r'(.*)\.data-[0-9]{5}-of-[0-9]{5}\Z')
PART = re.compile(r'(.*)\.(?:index|data-[0-9]{5}-of-[0-9]{5})\Z')


def words(path):
    """Why there is no checkpoint at a path, a folder or a prefix."""
    if os.path.isdir(path):
        nearest = _nearest(path)
        if not nearest:
            return f'{path}: no checkpoint in this folder'
        return words(os.path.join(path, nearest))
    folder, name = os.path.split(path)
    try:
        beside = sorted(os.listdir(folder or '.'))
    except OSError:
        beside = []
    data = [n for n in beside if DATA.match(n) and DATA.match(n).group(1) == name]
    if data and name + '.index' not in beside:
        return f'{path}: {data[0]} is there, but {name}.index is not: copy it, too'
    if name + '.index' in beside:
        return f'{path}: {name}.index is there, but not all of {name}.data-*: copy them, too'
    if os.path.isfile(path):
        if _ends_with(path, TABLE_MAGIC):
            return (
                f"{path} is of TensorFlow's old format V1: load it by tf.train.Saver and save it "
                'anew, which writes V2'
            )
        for suffixes, what in OTHER_KINDS:
            if name.lower().endswith(suffixes):
                return f'{path} {what}'
        return f'{path} is no checkpoint'
    return f'{path}: no such checkpoint or folder{text.spelling_hint(path)}'


def _nearest(folder):
    """What in a folder comes nearest to a checkpoint: a prefix, a file's name, or None."""
    found = text.names_in(folder)
    prefixes = [match.group(1) for match in map(PART.match, found) if match]
    old = [name for name in found if _ends_with(os.path.join(folder, name), TABLE_MAGIC)]
    other = [name for name in found if name.lower().endswith(OTHER_SUFFIXES)]
    return (prefixes or old or other or [None])[-1]


def _ends_with(path, magic):
    try:
        with open(path, 'rb') as file:
            file.seek(-len(magic), os.SEEK_END)
            return file.read() == magic
    except OSError:
        return False
