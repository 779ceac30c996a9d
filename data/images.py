"""Image files made ready for a record: checked by decoding them, kept as they are where training
can read them.
"""

import collections
import io
import warnings

from data.image_header import MAX_PIXELS

EncodedImage = collections.namedtuple('EncodedImage', 'encoded format height width channels')
"""bytes; 'JPEG' or 'PNG'; pixels; channels as in the file"""

JPEG_START = b'\xff\xd8\xff'
PNG_START = b'\x89PNG\r\n\x1a\n'


class NotAnImage(Exception):
    """The message says why."""


def read_image(path):
    """EncodedImage of a file. JPEG and PNG bytes are kept; any other kind that Pillow reads becomes
    a PNG, without loss.

    Raises NotAnImage where the file cannot be read or decoded to its end.
    """
    try:
        with open(path, 'rb') as file:
            return encoded_image(file.read())
    except OSError as error:
        raise NotAnImage(error.strerror or str(error))


def encoded_image(data):
    """EncodedImage of the bytes of an image file of any kind. Raises NotAnImage."""
    if not data:
        raise NotAnImage('the file is empty')
    # Told by its first bytes, as TensorFlow does it, not by its name: ImageNet has a PNG named
    # .JPEG.
    if data.startswith(JPEG_START):
        kind = 'JPEG'
    elif data.startswith(PNG_START):
        kind = 'PNG'
    else:
        kind = None
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Damaged EXIF and odd palettes are of no concern, and the size has a check of its own.
            warnings.simplefilter('ignore')
            image = Image.open(io.BytesIO(data))
            width, height = image.size
            if width * height > MAX_PIXELS:  # the pipeline would not take it
                raise NotAnImage(
                    '%d x %d pixels are more than %d million'
                    % (width, height, MAX_PIXELS // 1000000)
                )
            channels = 3 if image.mode == 'P' else len(image.getbands())
            if kind == 'JPEG':
                # An eighth of the size takes the same bytes through the same checks, and a third of
                # the time.
                image.draft(image.mode, (max(width // 8, 1), max(height // 8, 1)))
            image.load()
            if kind is None:
                data, kind, channels = _as_png(image)
    except NotAnImage:
        raise
    except Exception as error:  # whatever Pillow's plugins raise: OSError, SyntaxError, …
        raise NotAnImage(_reason(error))
    return EncodedImage(data, kind, height, width, {2: 1}.get(channels, channels))


def _as_png(image):
    """(bytes, 'PNG', channels) of a loaded Pillow image: 8 bits, grey or RGB. Of an animation, the
    first frame.
    """
    from PIL import Image

    if image.mode.startswith('I;16'):
        import numpy as np

        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    elif image.mode in ('I', 'F'):
        raise NotAnImage('its 32-bit pixels have no agreed range: convert it to 8 bits first')
    else:
        image = image.convert('L' if image.mode in ('1', 'L', 'LA') else 'RGB')
    out = io.BytesIO()
    image.save(out, 'PNG')
    return out.getvalue(), 'PNG', len(image.getbands())


def _reason(error):
    text = ' '.join(str(error).split())
    if 'cannot identify image file' in text:
        return 'not an image of a kind that Pillow reads'
    return text or type(error).__name__
