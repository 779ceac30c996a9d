"""Resize, mirror, change colours, normalize: one pass over the rows of an image.

TensorFlow's kernels take 1.6 ms for these steps at 224x224 (resize_bilinear 0.5, saturation and the
rest 1.1), twice as long as decoding the crop; this takes 0.15 ms, because a row stays in the cache
from the first step to the last.

JPEGs come here encoded: decoding and these steps are one call for several of them, without Python's
lock.

The loops over a row are functions of their own, and index plain arrays from 0: so LLVM turns them
into vector code.
"""

from llvmlite import ir
import numba
from numba.core import types
from numba.extending import intrinsic
import numpy as np

from data.compiled import compiled

f32, u32 = np.float32, np.uint32


@compiled
def larger(a, b):
    return a if a > b else b


@compiled
def smaller(a, b):
    return a if a < b else b


@compiled
def between_rows(top, bottom, fraction, row):
    """row = top + (bottom - top) * fraction, for all channels of all columns."""
    for i in range(len(top)):
        upper = f32(top[i])
        row[i] = upper + (f32(bottom[i]) - upper) * fraction


@intrinsic
def between_pixels(typing, row, i, fraction, line, j):
    """line[j + c] = row[i + c] + (row[i + 3 + c] - row[i + c]) * fraction for c in 0..3, in one
    vector, which LLVM does not find by itself. float32 arrays, uint32 indices.
    """

    def code(context, builder, signature, args):
        four, i64 = ir.VectorType(ir.FloatType(), 4), ir.IntType(64)

        def place(array, index, ahead=0):
            data = context.make_array(signature.args[array])(context, builder, args[array]).data
            index = builder.add(builder.zext(args[index], i64), i64(ahead))
            return builder.bitcast(builder.gep(data, [index]), four.as_pointer())

        left = builder.load(place(0, 1), align=4)
        right = builder.load(place(0, 1, 3), align=4)
        fractions = four(ir.Undefined)
        for lane in range(4):
            fractions = builder.insert_element(fractions, args[2], ir.IntType(32)(lane))
        moved = builder.fmul(builder.fsub(right, left), fractions)
        builder.store(builder.fadd(left, moved), place(3, 4), align=4)
        return context.get_dummy_value()

    return types.void(row, i, fraction, line, j), code


@compiled
def between_columns(row, first, fractions, line):
    """Columns of the output, from those of the input; first[x]: where a pixel begins in `row`.

    Of the four floats written for a pixel, the next one's overwrite the last.
    """
    for x in range(len(first)):
        between_pixels(row, first[x], fractions[x], line, u32(3) * u32(x))


@compiled
def separate(line, red, green, blue):
    for x in range(len(red)):
        red[x] = line[3 * x]
        green[x] = line[3 * x + 1]
        blue[x] = line[3 * x + 2]


@compiled
def recolour(red, green, blue, delta, factor, delta_before):
    """Brightness and saturation, clipped to 0..255, in place.

    Saturation in HSV, as tf.image.adjust_saturation: with v the largest and m the smallest of r, g,
    b, it moves each channel c to v - (v - c) * min(factor, v / (v - m)). Brightness adds delta to
    v, m and c alike; where it comes first, delta_before is delta, else 0.
    """
    for x in range(len(red)):
        r, g, b = red[x], green[x], blue[x]
        v = larger(larger(r, g), b)
        m = smaller(smaller(r, g), b)
        scale = smaller(factor, (v + delta_before) / (v - m + f32(1e-6)))
        bright = v + delta
        red[x] = smaller(larger(bright - (v - r) * scale, f32(0)), f32(255))
        green[x] = smaller(larger(bright - (v - g) * scale, f32(0)), f32(255))
        blue[x] = smaller(larger(bright - (v - b) * scale, f32(0)), f32(255))


@compiled
def interleave(red, green, blue, scale, offset, out):
    for x in range(len(red)):
        out[3 * x] = red[x] * scale + offset
        out[3 * x + 1] = green[x] * scale + offset
        out[3 * x + 2] = blue[x] * scale + offset


@compiled
def scaled(line, scale, offset, out):
    for i in range(len(out)):
        out[i] = line[i] * scale + offset


@compiled
def render_rows(image, flip, recoloured, colour, scale, offset, out):
    """See `render`; scale, offset: range_of(out.dtype)."""
    height, width, size = image.shape[0], image.shape[1], len(out)
    delta, factor = f32(colour[0] * 255.0), colour[1]
    delta_before = delta if colour[2] else f32(0)
    rows = image.reshape(height, 3 * width)
    out_rows = out.reshape(size, 3 * size)
    # Without corner alignment: output x looks at input x * width / size, the last column repeated
    # beyond the edge.
    first, fractions = np.empty(size, u32), np.empty(size, f32)
    step = f32(width) / f32(size)
    for x in range(size):
        place = f32(x) * step
        column = smaller(np.int32(place), width - 1)
        target = size - 1 - x if flip else x
        first[target], fractions[target] = u32(3 * column), place - f32(column)
    row, line = np.zeros(3 * width + 4, f32), np.empty(3 * size + 1, f32)
    red, green, blue = np.empty(size, f32), np.empty(size, f32), np.empty(size, f32)
    step = f32(height) / f32(size)
    for y in range(size):
        place = f32(y) * step
        top = smaller(np.int32(place), height - 1)
        between_rows(rows[top], rows[smaller(top + 1, height - 1)], place - f32(top), row)
        for i in range(3 * width, 3 * width + 3):
            row[i] = row[i - 3]
        between_columns(row, first, fractions, line)
        if recoloured:
            separate(line, red, green, blue)
            recolour(red, green, blue, delta, factor, delta_before)
            interleave(red, green, blue, scale, offset, out_rows[y])
        else:
            scaled(line, scale, offset, out_rows[y])


def render(image, size, flip=False, colour=None, dtype=np.float32, out=None):
    """A uint8 image [h, w, 3] as [size, size, 3]: float32 in -1..1, or rounded uint8.

    Bilinear without corner alignment or antialiasing, as tf.image.resize_images in TensorFlow 1.

    Args:
      flip: mirror left to right. colour: float32 [3]: brightness delta (of a range of 1),
      saturation factor, 1 where brightness comes first; or None. out: where it goes, if not to a
      new array of `dtype`.
    """
    out = np.empty([size, size, 3], dtype) if out is None else out
    recoloured = colour is not None
    colour = np.array(colour if recoloured else [0, 0, 0], np.float32)
    render_rows(image, bool(flip), recoloured, colour, *range_of(out.dtype), out)
    return out


def range_of(dtype):
    """(scale, offset) that take 0..255 to the range of finished pixels."""
    return (f32(2 / 255.0), f32(-1)) if dtype == np.float32 else (f32(1), f32(0.5))


@intrinsic
def uncompress(typing, function, encoded, size, flags):
    """The address of the pixels of `size` bytes at an address; 0 where they cannot be decoded."""

    def code(context, builder, signature, args):
        byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(byte, [byte, i32] + 5 * [byte]).as_pointer()
        words = context.make_array(signature.args[3])(context, builder, args[3]).data
        arguments = [builder.inttoptr(args[1], byte), args[2], builder.bitcast(words, byte)]
        pixels = builder.call(builder.inttoptr(args[0], kind), arguments + 4 * [byte(None)])
        return builder.ptrtoint(pixels, ir.IntType(64))

    return types.int64(types.int64, types.int64, types.int32, flags), code


@intrinsic
def delete(typing, function, pixels):
    def code(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)]).as_pointer()
        builder.call(builder.inttoptr(args[0], kind), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


@intrinsic
def pointer(typing, address):
    def code(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), code


@compiled
def decode_and_render(
    functions, flags, encoded, sizes, windows, flips, colours, recoloured, scale, offset, out, done
):
    """`render` of the windows of n JPEGs, one after the other. done[i]: whether it was decoded.

    functions, flags: see data/jpeg.py. encoded: their addresses; a size of 0 leaves one out.
    """
    # In this file, because numba keeps machine code until the file changes in which it begins.
    for i in range(len(out)):
        if sizes[i] == 0:
            continue
        height, width = windows[i, 2], windows[i, 3]
        flags[7], flags[8], flags[9], flags[10] = windows[i, 1], windows[i, 0], width, height
        address = uncompress(functions[0], encoded[i], sizes[i], flags)
        if address != 0:
            pixels = numba.carray(pointer(address), (height, width, 3), np.uint8)
            render_rows(pixels, flips[i], recoloured, colours[i], scale, offset, out[i])
            delete(functions[1], address)
            done[i] = True
