"""Image files made ready for a record: checked by decoding them, kept as they are where training
can read them.
"""

import collections
import io
import warnings
import zlib

from data.image_header import MAX_PIXELS, PNG_SIGNATURE, read_header
from data.memory import budget
from mobilenet import text

EncodedImage = collections.namedtuple('EncodedImage', 'encoded format height width channels')
"""bytes; 'JPEG' or 'PNG'; pixels; channels as in the file"""

JPEG_START = b'\xff\xd8\xff'
# No image of MAX_PIXELS needs more, in whatever format.
MAX_FILE_BYTES = 512 << 20
EXIF_ORIENTATION = 0x0112
# Of an image that becomes a PNG: as Pillow decodes it, as it is turned, and the PNG.
BYTES_A_PIXEL = 9


class NotAnImage(Exception):
    """The message says why."""


def read_image(path, apply_exif=False):
    """EncodedImage of a file. JPEG and PNG bytes are kept; any other kind that Pillow reads becomes
    a PNG, without loss, and with `apply_exif` so does what its EXIF data turns or mirrors.

    Raises NotAnImage where the file cannot be read or decoded to its end.
    """
    try:
        return encoded_image(text.read_bytes(path, MAX_FILE_BYTES), apply_exif)
    except text.Unreadable as error:
        raise NotAnImage(str(error))


def encoded_image(data, apply_exif=False):
    """EncodedImage of the bytes of an image file of any kind. Raises NotAnImage."""
    if not data:
        raise NotAnImage('the file is empty')
    # Told by its first bytes, as TensorFlow does it, not by its name: ImageNet has a PNG named
    # .JPEG.
    kind = 'JPEG' if data.startswith(JPEG_START) else None
    if data.startswith(PNG_SIGNATURE):
        kind = 'PNG'
    try:
        with warnings.catch_warnings():
            # Damaged EXIF and odd palettes are of no concern, and the size has a check of its own.
            warnings.simplefilter('ignore')
            return _decoded(data, kind, apply_exif)
    except (NotAnImage, MemoryError):
        raise
    except Exception as error:  # whatever Pillow's plugins raise: OSError, SyntaxError, …
        raise NotAnImage(_reason(error))


def _decoded(data, kind, apply_exif):
    if kind is not None:
        read_header(data)  # training's own look at it
    image = _open(data)
    width, height = image.size
    channels = 3 if image.mode == 'P' else len(image.getbands())
    turned = apply_exif and _is_turned(image)
    if kind == 'JPEG' and not turned:
        # An eighth of the size takes the same bytes through the same checks, and a third of
        # the time.
        image.draft(image.mode, (max(width // 8, 1), max(height // 8, 1)))
    image.load()
    if kind == 'PNG':
        _check_png(data)
    if kind is None or turned:
        data, kind, height, width, channels = _as_png(image, turned)
    return EncodedImage(data, kind, height, width, {2: 1}.get(channels, channels))


def made_png(data, apply_exif=False):
    """As `encoded_image`, of what only Pillow reads, or what it has to turn: within the memory that
    all threads share. Raises NotAnImage.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            width, height = _open(data).size
    except (NotAnImage, MemoryError):
        raise
    except Exception as error:
        raise NotAnImage(_reason(error))
    with budget.hold(BYTES_A_PIXEL * width * height):
        return encoded_image(data, apply_exif)


def is_turned(data):
    """Whether the EXIF data of an encoded image turns or mirrors it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return _is_turned(_open(data))
    except Exception:  # no image: whoever decodes it says why
        return False


def _open(data):
    """A Pillow image that is not decoded yet."""
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    width, height = image.size
    if width * height > MAX_PIXELS:  # the pipeline would not take it
        raise NotAnImage(f'{width} x {height} pixels are more than {MAX_PIXELS // 1000000} million')
    return image


def _is_turned(image):
    if image.format == 'TIFF':  # which Pillow turns whenever it loads it, as the format demands
        return False
    return image.getexif().get(EXIF_ORIENTATION, 1) in range(2, 9)


def _check_png(data):
    """What TensorFlow's decoder refuses and Pillow takes: an image chunk whose checksum is wrong,
    and a missing last chunk, IEND. Of a chunk that is not needed (its name starts in lower case)
    both pass over the checksum.
    """
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], 'big')
        name = data[position + 4 : position + 8]
        checksum = int.from_bytes(data[end - 4 : end], 'big')
        if name[:1].isupper() and zlib.crc32(data[position + 4 : end - 4]) != checksum:
            raise NotAnImage('the PNG is damaged: the checksum of a chunk is wrong')
        if name == b'IEND':
            return
        position = end
    raise NotAnImage('the PNG is truncated: its end (IEND) is missing')


def _as_png(image, turned):
    """(bytes, 'PNG', height, width, channels) of a loaded Pillow image: 8 bits, grey or RGB. Of an
    animation, the first frame.
    """
    from PIL import Image, ImageOps

    if turned:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I;16'):
        import numpy as np

        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    elif image.mode in ('I', 'F'):
        raise NotAnImage('its 32-bit pixels have no agreed range: convert it to 8 bits first')
    else:
        image = image.convert('L' if image.mode in ('1', 'L', 'LA') else 'RGB')
    out = io.BytesIO()
    image.save(out, 'PNG')
    return out.getvalue(), 'PNG', image.height, image.width, len(image.getbands())


def _reason(error):
    reason = ' '.join(str(error).split())
    if 'cannot identify image file' in reason:
        return 'not an image of a kind that Pillow reads'
    return reason or type(error).__name__
