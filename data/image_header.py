"""Format and size of an encoded image from its first bytes, without decoding it.

The crop is drawn before the image is decoded, so that only the crop needs decoding: its size has to
be known first.
"""

import collections
import struct

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
# Start-of-frame markers: 0xC0..0xCF without DHT (C4), JPG (C8) and DAC (CC). ITU-T T.81, table B.1.
SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers without a segment behind them: TEM, RST0..7, SOI.
BARE_MARKERS = frozenset(range(0xD0, 0xD9)) | {0x01}
# An image of more pixels is taken for damaged: a header that lies must not ask for gigabytes.
MAX_PIXELS = 100000000

Header = collections.namedtuple('Header', 'format height width components')


def read_header(encoded):
    """Header('JPEG' | 'PNG', height, width, components), or None for any other format.

    Raises ValueError with the reason where a JPEG or PNG header is damaged or the size is absurd.
    """
    if encoded[:3] == b'\xff\xd8\xff':
        header = _jpeg_header(encoded)
    elif encoded[:8] == PNG_SIGNATURE:
        header = _png_header(encoded)
    else:
        return None
    if header.height == 0 or header.width == 0:
        raise ValueError(
            f'a {header.format} image without pixels ({header.width} x {header.height})'
        )
    if header.height * header.width > MAX_PIXELS:
        raise ValueError(
            f'a {header.format} header that asks for {header.width} x {header.height} pixels, more '
            f'than {MAX_PIXELS // 1000000} million'
        )
    return header


def _jpeg_header(encoded):
    position, size = 2, len(encoded)
    while position + 9 < size:
        if encoded[position] != 0xFF:  # bytes between segments are skipped, as libjpeg does
            position = encoded.find(b'\xff', position)
            if position < 0:
                break
            continue
        marker = encoded[position + 1]
        if marker in SOF_MARKERS:
            height, width, components = struct.unpack_from('>HHB', encoded, position + 5)
            return Header('JPEG', height, width, components)
        if marker in (0xFF, 0x00):  # fill byte, stuffed byte
            position += 1 if marker == 0xFF else 2
        elif marker in BARE_MARKERS:
            position += 2
        elif marker == 0xDA:  # the scan starts without a frame
            break
        else:
            position += 2 + struct.unpack_from('>H', encoded, position + 2)[0]
    raise ValueError('a JPEG without a frame header')


def _png_header(encoded):
    if len(encoded) < 26 or encoded[12:16] != b'IHDR':
        raise ValueError('a PNG without an image header')
    width, height = struct.unpack_from('>II', encoded, 16)
    return Header('PNG', height, width, {0: 1, 4: 2, 6: 4}.get(encoded[25], 3))
