"""Damaged JPEGs, PNGs and TFRecord files for fuzz_decoder.py: input i is a function of (seed, i),
and of nothing else.
"""

import collections
import io
import zlib

import numpy as np
from PIL import Image

from data import examples, tfrecord
from mobilenet import crc32c

# Of ten inputs, six are JPEGs: that decoder has the most ways to fail.
KIND_OF_TEN = ('jpeg', 'jpeg', 'jpeg', 'png', 'record', 'jpeg', 'jpeg', 'jpeg', 'png', 'record')
RECORDS_A_FILE = 3
JPEG_MARKERS = (
    0xC0,
    0xC1,
    0xC2,
    0xC3,
    0xC4,
    0xC9,
    0xCC,
    0xD0,
    0xD8,
    0xD9,
    0xDA,
    0xDB,
    0xDD,
    0xE0,
    0xEE,
    0xFE,
)
ODD_SIZES = (0, 1, 7, 8, 9, 15, 16, 17, 255, 256, 1000, 4096, 32767, 32768, 65500, 65535)

FuzzInput = collections.namedtuple('FuzzInput', 'kind data')


def suffix(kind):
    return {'jpeg': '.jpg', 'png': '.png', 'record': '.tfrecord'}[kind]


def kind_of(index):
    return KIND_OF_TEN[index % len(KIND_OF_TEN)]


def make_corpus():
    """{kind: [bytes]}: whole files of all the forms that occur, made of two photographs and of
    noise.
    """
    photographs = _photographs()
    jpegs, pngs = [], []
    for index, image in enumerate(photographs):
        for options in (
            {},
            {'progressive': True},
            {'subsampling': 0},
            {'subsampling': 1},
            {'optimize': True},
            {'quality': 5},
            {'quality': 100},
            {'restart_marker_blocks': 1},
        ):
            jpegs.append(_encode(image, 'JPEG', **options))
        jpegs.append(_encode(image.convert('L'), 'JPEG'))
        jpegs.append(_encode(image.convert('CMYK'), 'JPEG', progressive=bool(index % 2)))
        jpegs.append(
            _encode(image, 'JPEG', exif=b'Exif\0\0II*\0\x08\0\0\0\0\0', icc_profile=b'x' * 300)
        )
        for mode in ('RGB', 'L', 'RGBA', 'LA', 'P', '1'):
            pngs.append(_encode(image.convert(mode), 'PNG'))
        deep = np.asarray(image.convert('L')).astype(np.uint16) * 257
        pngs.append(_encode(Image.fromarray(deep), 'PNG'))
    pngs.append(_encode(photographs[0].convert('P'), 'PNG', transparency=3))
    return {'jpeg': jpegs, 'png': pngs}


def make_input(corpus, seed, index):
    """FuzzInput number `index`."""
    rng = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, index])
    kind = kind_of(index)
    if kind == 'record':
        return FuzzInput(kind, _record_file(corpus, rng))
    return FuzzInput(kind, _damaged_image(corpus, kind, rng))


def _damaged_image(corpus, kind, rng):
    pool = corpus[kind]
    data = bytearray(pool[rng.randint(len(pool))])
    special = _damage_jpeg if kind == 'jpeg' else _damage_png
    for _ in range((1, 1, 2, 4)[rng.randint(4)]):
        # A PNG's bytes are packed and summed: hardly a blind change gets past its first check.
        if rng.rand() < (0.5 if kind == 'jpeg' else 0.9):
            special(data, rng)
        else:
            _damage_bytes(data, rng, bytes(pool[rng.randint(len(pool))]))
    if kind == 'png' and rng.rand() < 0.7:
        _mend_png_checksums(data)  # else libpng looks no further
    return bytes(data)


def _record_file(corpus, rng):
    """A TFRecord file of a few examples. Damaged: the file, or the examples in it (framed well), or
    their images.
    """
    where = rng.randint(3)
    framed = []
    for _ in range(RECORDS_A_FILE):
        kind = 'jpeg' if rng.rand() < 0.7 else 'png'
        pool = corpus[kind]
        image = _damaged_image(corpus, kind, rng) if where == 2 else pool[rng.randint(len(pool))]
        example = bytearray(
            examples.image_example(
                image,
                kind.upper(),
                8,
                8,
                3,
                int(rng.randint(-2, 12)),
                'x.JPEG',
                text='fuzz',
                boxes=[tuple(rng.uniform(-0.5, 1.5, 4))] * rng.randint(3),
            )
        )
        if where == 1:
            for _ in range(1 + rng.randint(4)):
                # Mostly the front and the back, where the structure is; the image is the bulk of
                # it.
                _damage_bytes(example, rng, bytes(example), near_ends=rng.rand() < 0.7)
        framed.append(tfrecord.frame(bytes(example)))
    data = bytearray(b''.join(framed))
    if where == 0:
        for _ in range(1 + rng.randint(3)):
            # A length that lies, with a checksum that does not.
            if rng.rand() < 0.3 and len(data) > 12:
                lie = (0, 1, len(data), 2**31, 2**63 - 1, 2**64 - 1)[rng.randint(6)]
                length = lie.to_bytes(8, 'little')
                data[:12] = length + crc32c.masked(length).to_bytes(4, 'little')
            else:
                _damage_bytes(data, rng, framed[0], near_ends=rng.rand() < 0.3)
    return bytes(data)


def _damage_bytes(data, rng, other, near_ends=False):
    """One change in place, of a kind that knows nothing of the format."""
    if not data:
        data += rng.bytes(1 + rng.randint(16))
        return
    low, high = 0, len(data)
    if near_ends:
        low, high = (0, min(64, high)) if rng.rand() < 0.5 else (max(0, high - 256), high)
    start = rng.randint(low, high)
    length = 1 + rng.randint(min(64, len(data)))
    choice = rng.randint(8)
    if choice == 0:
        for position in rng.randint(low, high, 1 + rng.randint(16)):
            data[position] ^= 1 << rng.randint(8)
    elif choice == 1:
        data[start] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF]))
    elif choice == 2:
        data[start : start + length] = rng.bytes(length)
    elif choice == 3:
        del data[start : start + length]
    elif choice == 4:
        data[start:start] = data[start : start + length]
    elif choice == 5:
        data[start:start] = rng.bytes(length)
    elif choice == 6:
        del data[start:]
    else:
        begin = rng.randint(len(other))
        data[start : start + length] = other[begin : begin + length]


def _damage_jpeg(data, rng):
    """A change to the header's structure: a size, a marker, the length or a byte of a segment."""
    segments = [
        position
        for position in range(2, min(len(data) - 20, 2000))
        if data[position] == 0xFF and data[position + 1] in JPEG_MARKERS
    ]
    if not segments:
        return
    position = segments[rng.randint(len(segments))]
    choice = rng.randint(5)
    if choice == 0:  # height or width
        for frame in segments:
            if data[frame + 1] in (0xC0, 0xC2):
                place = frame + 5 + 2 * rng.randint(2)
                data[place : place + 2] = int(rng.choice(ODD_SIZES)).to_bytes(2, 'big')
    elif choice == 1:
        data[position + 1] = int(rng.choice(JPEG_MARKERS))
    elif choice == 2:
        data[position + 2 : position + 4] = int(rng.choice(ODD_SIZES)).to_bytes(2, 'big')
    elif choice == 3:
        data[position + 4 + rng.randint(16)] = rng.randint(256)
    else:  # the whole segment elsewhere
        length = 2 + int.from_bytes(data[position + 2 : position + 4], 'big')
        other = segments[rng.randint(len(segments))]
        data[other:other] = data[position : position + min(length, 1000)]


def _damage_png(data, rng):
    """A change within a chunk: the size, depth, colour type or interlacing of the header, a length,
    a type.
    """
    if len(data) < 40:
        return
    choice = rng.randint(8)
    if choice >= 4:
        _damage_png_pixels(data, rng)
    elif choice == 0:
        place = 16 + 4 * rng.randint(2)
        size = int(rng.choice(ODD_SIZES + (2**31 - 1, 2**32 - 1)))
        data[place : place + 4] = size.to_bytes(4, 'big')
    elif choice == 1:
        data[24 + rng.randint(5)] = int(rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255]))
    else:
        chunks = _png_chunks(data)
        start = chunks[rng.randint(len(chunks))]
        if choice == 2:
            data[start : start + 4] = int(rng.choice(ODD_SIZES)).to_bytes(4, 'big')
        else:
            types = (b'IDAT', b'PLTE', b'tRNS', b'IEND', b'IHDR', b'gAMA')
            data[start + 4 : start + 8] = types[rng.randint(len(types))]


def _damage_png_pixels(data, rng):
    """A change to the filtered rows, packed anew: damage that the packing's own checksum does not
    tell.
    """
    for start in _png_chunks(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], 'big')
        if data[start + 4 : start + 8] == b'IDAT':
            try:
                rows = bytearray(zlib.decompress(bytes(data[start + 8 : end])))
            except zlib.error:
                return
            _damage_bytes(rows, rng, bytes(rows) or b'x')
            packed = zlib.compress(bytes(rows), 1)
            data[start : end + 4] = (
                len(packed).to_bytes(4, 'big')
                + b'IDAT'
                + packed
                + zlib.crc32(b'IDAT' + packed).to_bytes(4, 'big')
            )
            return


def _png_chunks(data):
    """Where the chunks start."""
    starts, position = [], 8
    while position + 12 <= len(data):
        starts.append(position)
        position += 12 + int.from_bytes(data[position : position + 4], 'big')
    return starts or [8]


def _mend_png_checksums(data):
    for start in _png_chunks(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], 'big')
        if end + 4 <= len(data):
            data[end : end + 4] = zlib.crc32(data[start + 4 : end]).to_bytes(4, 'big')


def _photographs():
    """Small images: scikit-learn's two photographs, with odd sizes, noise, and single pixels."""
    from sklearn.datasets import load_sample_images

    china, flower = (Image.fromarray(image) for image in load_sample_images().images)
    noise = Image.fromarray(np.random.RandomState(0).randint(0, 256, (40, 33, 3)).astype(np.uint8))
    return [
        china.resize((160, 107)),
        flower.resize((97, 143)),
        china.crop((100, 100, 117, 300)),
        noise,
        noise.resize((1, 1)),
        noise.resize((1, 300)),
    ]


def _encode(image, file_format, **options):
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()
