"""The one kernel that draws composed clips: warps, fills and lays layers over each other.

Every pixel of every frame is made in registers: for each layer, from the back to the front, its
place in the object's own coordinates (affine and two waves), the shape there, and if it is the
object's, the texture there. Runs on the card, and slowly in Triton's interpreter
(``TRITON_INTERPRET=1``), which the tests use.
"""

from __future__ import annotations

import triton
import triton.language as tl

#: Numbers that describe a layer on a frame (`compose` names them), and a frame.
LAYER_SIZE, FRAME_SIZE = 64, 16
#: Farther out in its own coordinates, waves and all, there is nothing of an object.
FARTHEST = tl.constexpr(1.8)


@triton.jit
def _texture(
    bank,
    layer,
    at: tl.constexpr,
    u,
    v,
    inside,
    full_height: tl.constexpr,
    full_width: tl.constexpr,
    frame_count: tl.constexpr,
):
    """Colour 0..255 of a texture (8 numbers from `at` on); mirrored at its borders."""
    number = tl.load(layer + at).to(tl.int32)
    level = tl.load(layer + at + 1).to(tl.int32)
    height = full_height >> level
    width = full_width >> level
    base = number * height * width
    if level > 0:
        base += frame_count * full_height * full_width
    if level > 1:
        base += frame_count * (full_height // 2) * (full_width // 2)
    if level > 2:
        base += frame_count * (full_height // 4) * (full_width // 4)
    # The affine speaks of shares of the frame's height; both axes alike.
    x = tl.load(layer + at + 2) * u + tl.load(layer + at + 3) * v + tl.load(layer + at + 4)
    y = tl.load(layer + at + 5) * u + tl.load(layer + at + 6) * v + tl.load(layer + at + 7)
    x = x * height
    y = y * height
    x = x - tl.floor(x / (2.0 * width)) * (2.0 * width)
    y = y - tl.floor(y / (2.0 * height)) * (2.0 * height)
    x = tl.minimum(x, 2.0 * width - x) - 0.5
    y = tl.minimum(y, 2.0 * height - y) - 0.5
    x = tl.minimum(tl.maximum(x, 0.0), width - 1.001)
    y = tl.minimum(tl.maximum(y, 0.0), height - 1.001)
    x0 = x.to(tl.int32)
    y0 = y.to(tl.int32)
    fx = x - x0
    fy = y - y0
    place = bank + base + y0 * width + x0
    c00 = tl.load(place, mask=inside, other=0)
    c01 = tl.load(place + 1, mask=inside, other=0)
    c10 = tl.load(place + width, mask=inside, other=0)
    c11 = tl.load(place + width + 1, mask=inside, other=0)
    w00 = (1 - fx) * (1 - fy)
    w01 = fx * (1 - fy)
    w10 = (1 - fx) * fy
    w11 = fx * fy
    red = (c00 & 255) * w00 + (c01 & 255) * w01 + (c10 & 255) * w10 + (c11 & 255) * w11
    green = (
        ((c00 >> 8) & 255) * w00
        + ((c01 >> 8) & 255) * w01
        + ((c10 >> 8) & 255) * w10
        + ((c11 >> 8) & 255) * w11
    )
    blue = (
        ((c00 >> 16) & 255) * w00
        + ((c01 >> 16) & 255) * w01
        + ((c10 >> 16) & 255) * w10
        + ((c11 >> 16) & 255) * w11
    )
    return red, green, blue


@triton.jit
def _shape(shapes, layer, u, v, shape_side: tl.constexpr):
    """How far the object covers object coordinates -1..1, 0..1."""
    x = (u + 1.0) * (shape_side / 2) - 0.5
    y = (v + 1.0) * (shape_side / 2) - 0.5
    inside = (x > 0) & (y > 0) & (x < shape_side - 1) & (y < shape_side - 1)
    x = tl.minimum(tl.maximum(x, 0.0), shape_side - 1.001)
    y = tl.minimum(tl.maximum(y, 0.0), shape_side - 1.001)
    x0 = x.to(tl.int32)
    y0 = y.to(tl.int32)
    fx = x - x0
    fy = y - y0
    number = tl.load(layer + 22).to(tl.int32)
    place = shapes + (number * shape_side + y0) * shape_side + x0
    a00 = tl.load(place, mask=inside, other=0).to(tl.float32)
    a01 = tl.load(place + 1, mask=inside, other=0).to(tl.float32)
    a10 = tl.load(place + shape_side, mask=inside, other=0).to(tl.float32)
    a11 = tl.load(place + shape_side + 1, mask=inside, other=0).to(tl.float32)
    soft = (a00 * (1 - fx) + a01 * fx) * (1 - fy) + (a10 * (1 - fx) + a11 * fx) * fy
    sharp = (soft / 255.0 - 0.5) * tl.load(layer + 23) + 0.5
    return tl.where(inside, tl.minimum(tl.maximum(sharp, 0.0), 1.0), 0.0) * tl.load(layer + 24)


@triton.jit
def compose_kernel(
    image,
    visible,
    whole,
    bank,
    shapes,
    layers,
    frames,
    side,
    layer_count: tl.constexpr,
    target: tl.constexpr,
    full_height: tl.constexpr,
    full_width: tl.constexpr,
    frame_count: tl.constexpr,
    shape_side: tl.constexpr,
    layer_size: tl.constexpr,
    frame_size: tl.constexpr,
    tile_width: tl.constexpr,
    tile_height: tl.constexpr,
):
    """Draw a tile of a frame: image ``(N, 3, S, S)`` 0..1, masks ``(N, S, S)``."""
    number = tl.program_id(0)
    block: tl.constexpr = tile_width * tile_height
    across = tl.cdiv(side, tile_width)
    place_in_tile = tl.arange(0, block)
    column = tl.program_id(1) % across * tile_width + place_in_tile % tile_width
    row = tl.program_id(1) // across * tile_height + place_in_tile // tile_width
    within = (row < side) & (column < side)
    pixel = row * side + column
    x = (column.to(tl.float32) + 0.5) * 2.0 / side - 1.0
    y = (row.to(tl.float32) + 0.5) * 2.0 / side - 1.0
    frame = frames + number * frame_size
    samples = tl.load(frame + 10).to(tl.int32)

    red = tl.zeros([block], tl.float32)
    green = tl.zeros([block], tl.float32)
    blue = tl.zeros([block], tl.float32)
    seen = tl.zeros([block], tl.float32)
    body = tl.zeros([block], tl.float32)
    for sample in range(samples):
        # Moments within the time that the shutter is open; the last one is the frame's own.
        moment = tl.where(sample == samples - 1, 0.0, sample - 0.5)
        r = tl.zeros([block], tl.float32)
        g = tl.zeros([block], tl.float32)
        b = tl.zeros([block], tl.float32)
        hit = tl.zeros([block], tl.float32)
        body = tl.zeros([block], tl.float32)
        for index in range(layer_count):
            layer = layers + (number * layer_count + index) * layer_size
            on = tl.load(layer + 24)
            if on > 0.0:
                a0 = tl.load(layer + 0) + moment * tl.load(layer + 6)
                a1 = tl.load(layer + 1) + moment * tl.load(layer + 7)
                a2 = tl.load(layer + 2) + moment * tl.load(layer + 8)
                a3 = tl.load(layer + 3) + moment * tl.load(layer + 9)
                a4 = tl.load(layer + 4) + moment * tl.load(layer + 10)
                a5 = tl.load(layer + 5) + moment * tl.load(layer + 11)
                u0 = a0 * x + a1 * y + a2
                v0 = a3 * x + a4 * y + a5
                # Most layers are not on most tiles.
                away = tl.min(tl.maximum(tl.abs(u0), tl.abs(v0)), 0)
                if (index == 0) | (away < FARTHEST):
                    wave1 = tl.sin(
                        tl.load(layer + 12) * u0 + tl.load(layer + 13) * v0 + tl.load(layer + 14)
                    )
                    wave2 = tl.sin(
                        tl.load(layer + 17) * u0 + tl.load(layer + 18) * v0 + tl.load(layer + 19)
                    )
                    u = u0 + tl.load(layer + 15) * wave1 + tl.load(layer + 20) * wave2
                    v = v0 + tl.load(layer + 16) * wave1 + tl.load(layer + 21) * wave2
                    if index == 0:
                        alpha = tl.zeros([block], tl.float32) + 1.0
                    else:
                        alpha = _shape(shapes, layer, u, v, shape_side)
                    hit = hit * (1.0 - alpha)
                    if index == target:
                        hit = alpha
                        body = alpha
                    inside = (alpha > 0.0) & within
                    if tl.max(alpha, 0) > 0.0:
                        tr, tg, tb = _texture(
                            bank, layer, 25, u, v, inside, full_height, full_width, frame_count
                        )
                        # Two parts: a wavy line tells which texture is shown.
                        line = (
                            tl.load(layer + 41) * u + tl.load(layer + 42) * v - tl.load(layer + 43)
                        )
                        bend = tl.load(layer + 42) * u - tl.load(layer + 41) * v
                        line += tl.load(layer + 44) * tl.sin(
                            tl.load(layer + 45) * bend + tl.load(layer + 46)
                        )
                        other = tl.minimum(tl.maximum(line * 20.0, 0.0), 1.0)
                        part = inside & (other > 0.0)
                        if tl.max(part.to(tl.int32), 0) > 0:
                            sr, sg, sb = _texture(
                                bank, layer, 33, u, v, part, full_height, full_width, frame_count
                            )
                            tr += other * (sr - tr)
                            tg += other * (sg - tg)
                            tb += other * (sb - tb)
                        keep = tl.load(layer + 50)
                        shade = 1.0 + tl.load(layer + 57) * u0 + tl.load(layer + 58) * v0
                        tr = (
                            (tl.load(layer + 47) * (1 - keep) + keep * tr)
                            * tl.load(layer + 51)
                            * shade
                        )
                        tg = (
                            (tl.load(layer + 48) * (1 - keep) + keep * tg)
                            * tl.load(layer + 52)
                            * shade
                        )
                        tb = (
                            (tl.load(layer + 49) * (1 - keep) + keep * tb)
                            * tl.load(layer + 53)
                            * shade
                        )
                        tr = tl.minimum(tl.maximum(tr + tl.load(layer + 54), 0.0), 255.0)
                        tg = tl.minimum(tl.maximum(tg + tl.load(layer + 55), 0.0), 255.0)
                        tb = tl.minimum(tl.maximum(tb + tl.load(layer + 56), 0.0), 255.0)
                        r += alpha * (tr - r)
                        g += alpha * (tg - g)
                        b += alpha * (tb - b)
        # What lies beyond the frame is grey and hides everything.
        beyond = (
            (x < tl.load(frame + 0))
            | (y < tl.load(frame + 1))
            | (x > tl.load(frame + 2))
            | (y > tl.load(frame + 3))
        )
        hit = tl.where(beyond, 0.0, hit)
        red += tl.where(beyond, 114.0, r)
        green += tl.where(beyond, 114.0, g)
        blue += tl.where(beyond, 114.0, b)
        seen = hit
    red = red / samples
    green = green / samples
    blue = blue / samples
    light = 0.3 * red + 0.6 * green + 0.1 * blue
    colour = tl.load(frame + 8)
    bias = tl.load(frame + 7)
    red = (light + colour * (red - light)) * tl.load(frame + 4) + bias
    green = (light + colour * (green - light)) * tl.load(frame + 5) + bias
    blue = (light + colour * (blue - light)) * tl.load(frame + 6) + bias
    beyond = (
        (x < tl.load(frame + 0))
        | (y < tl.load(frame + 1))
        | (x > tl.load(frame + 2))
        | (y > tl.load(frame + 3))
    )
    area = side * side
    place = image + number * 3 * area + pixel
    tl.store(place, tl.where(beyond, 0.447, red / 255.0), mask=within)
    tl.store(place + area, tl.where(beyond, 0.447, green / 255.0), mask=within)
    tl.store(place + 2 * area, tl.where(beyond, 0.447, blue / 255.0), mask=within)
    tl.store(visible + number * area + pixel, seen, mask=within)
    tl.store(whole + number * area + pixel, body, mask=within)
