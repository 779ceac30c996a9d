"""Many small images with captions in one PNG, as the network sees them. Pillow only."""

import importlib.util
import math
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mobilenet import fonts
from mobilenet.text import printable

MIN_SIDE = 96  # smaller images are enlarged by a whole factor, so that their pixels stay pixels
GAP = 6
FONT_SIZE = 12
LINE = FONT_SIZE + 3
TITLE = 2 * GAP + LINE
BACKGROUND, INK = (255, 255, 255), (20, 20, 20)


def write(path, images, captions, title='', columns=None):
    """Writes a PNG.

    Args:
      images: [n, h, w, 3], uint8 or float in -1..1. What is not finite is drawn in magenta.
      captions: n strings; those too wide for their image end in '…'.
      columns: images a row; by default the sheet is about square.
    """
    sheet(images, captions, title, columns).save(path, 'PNG')


def sheet(images, captions, title='', columns=None):
    """As `write`, but gives the Pillow image."""
    pixels = to_uint8(np.asarray(images))
    count, height, width, _ = pixels.shape
    if len(captions) != count:
        raise ValueError(f'{len(captions)} captions for {count} images')
    scale = max(1, -(-MIN_SIDE // max(min(height, width), 1)))
    height, width = height * scale, width * scale
    columns = columns or max(1, math.ceil(math.sqrt(count * (height + LINE) / width)))
    columns = min(columns, max(count, 1))
    rows = -(-count // columns)
    top = TITLE if title else GAP
    canvas = Image.new(
        'RGB', (GAP + columns * (width + GAP), top + rows * (height + LINE + GAP)), BACKGROUND
    )
    draw, font = ImageDraw.Draw(canvas), _font([title, *captions])
    if title:
        draw.text((GAP, GAP), _fitted(draw, title, font, canvas.width - 2 * GAP), INK, font)
    for index, (image, caption) in enumerate(zip(pixels, captions)):
        x = GAP + index % columns * (width + GAP)
        y = top + index // columns * (height + LINE + GAP)
        canvas.paste(Image.fromarray(image).resize((width, height), Image.NEAREST), (x, y))
        draw.text((x, y + height + 1), _fitted(draw, caption, font, width), INK, font)
    return canvas


def caption(dataset, label):
    """A label with the first of its class's names, where the data set has names."""
    name = dataset.class_names[label] if dataset.class_names else ''
    return '{} {}'.format(label, name.split(',')[0]).strip()


def to_uint8(images):
    if images.dtype == np.uint8:
        return images
    finite = np.isfinite(images)
    scaled = np.clip((np.where(finite, images, 0) + 1.0) * 127.5 + 0.5, 0, 255).astype(np.uint8)
    scaled[~finite.all(-1)] = (255, 0, 255)
    return scaled


def _font(texts):
    """DejaVu Sans as matplotlib brings it (Latin, Greek, Cyrillic), one that has what else is in
    the texts, or Pillow's own.
    """
    spec = importlib.util.find_spec('matplotlib')
    if spec is not None and spec.origin:
        path = fonts.path_for(texts) or os.path.join(
            os.path.dirname(spec.origin), 'mpl-data', 'fonts', 'ttf', 'DejaVuSans.ttf'
        )
        if os.path.exists(path):
            return ImageFont.truetype(path, FONT_SIZE)
    return ImageFont.load_default()


def _fitted(draw, text, font, width):
    """The text, cut to a width in pixels. Pillow's own font is Latin-1 only."""
    more, text = '…', printable(text)
    if not isinstance(font, ImageFont.FreeTypeFont):
        text, more = text.encode('latin-1', 'replace').decode('latin-1'), '..'
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + more, font) > width:
        text = text[:-1]
    return text + more
