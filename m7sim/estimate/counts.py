"""What a kernel does for a shape, counted: trips of its loops, tails, calls, lines of the cache.

These are the columns of the fit in `m7sim.estimate.model`: cycles are taken as a sum of counts,
each times a cost that is not negative. The counts of an operation are those of all our kernels for
it; a kernel that does not have a certain loop gets a cost of 0 for it. All work on arrays, one
element per shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from m7sim.estimate.sets import crowded, crowded_together, lines_by_set
from m7sim.estimate.sizes import Cache, Sizes, taps_inside
from m7sim.ops.shapes import OpType

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


def counts(op: OpType, sizes: Sizes, cache: Cache) -> tuple[tuple[str, ...], F64]:
    """Return names of counts, and float64[shape, count]."""
    found = _BY_OP[op](sizes, cache)
    found = {"call": np.ones(len(sizes)), **found}
    return tuple(found), np.stack([np.asarray(c, dtype=np.float64) for c in found.values()], axis=1)


Counts = dict[str, Any]


def _cached(working_set: I64, refetched: I64, times: I64, cache: Cache, what: str) -> Counts:
    """Return lines that are fetched again each time because they do not stay in the cache.

    Twice: from where the set just exceeds the cache, and from where none of it survives.
    """
    over = working_set / cache.bytes
    lines = refetched / cache.line_bytes * np.maximum(times - 1, 0)
    return {
        f"{what} refetched, some": lines * np.clip((over - 0.7) / 0.6, 0, 1),
        f"{what} refetched, all": lines * (over > 1.25),
    }


def _window(s: Sizes) -> tuple[I64, I64, I64, I64, I64]:
    """Return pixels, taps inside, all taps, rows of taps inside, whole windows."""
    in_y, whole_y = taps_inside(s.in_y, s.kernel_y, s.stride_y, s.pad_y, s.out_y)
    in_x, whole_x = taps_inside(s.in_x, s.kernel_x, s.stride_x, s.pad_x, s.out_x)
    pixels = s.out_y * s.out_x
    return (
        pixels, in_y * in_x, pixels * s.kernel_y * s.kernel_x, in_y * s.out_x,
        whole_y * whole_x,
    )  # fmt: skip


def _trips(times: Any, trips: Any, what: str) -> Counts:
    """Return how often a loop is left, by its length: the exit of a short one is predicted."""
    bins = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 8), (9, 1 << 62))
    return {
        f"{what}, of {low} trips and up": times * ((trips >= low) & (trips <= high))
        for low, high in bins
    }


def _alignment(times: Any, step: Any, what: str) -> Counts:
    """Return word accesses whose start moves by a step that is no multiple of a word."""
    return {
        f"{what}, halves of words": times * (step % 4 == 2),
        f"{what}, odd bytes": times * (step % 2 == 1),
    }


def _product(depth: I64, pixels: I64, out_ch: I64) -> Counts:
    """Return the steps of a product of two pixels by two channels, and what is left over."""
    pairs, odd, quads, tail = pixels // 2, pixels % 2, out_ch // 2, out_ch % 2
    words, rest = depth // 4, depth % 4
    return {
        "2x2 steps of four": pairs * quads * words,
        "2x2 steps of sixteen": pairs * quads * (depth // 16),
        "2x2 steps of one": pairs * quads * rest,
        "2x2 products with a rest": pairs * quads * (rest > 0),
        "2x2 products": pairs * quads,
        "odd channel, steps of four": pairs * tail * words,
        "odd channel, steps of one": pairs * tail * rest,
        "odd channel": pairs * tail,
        "odd pixel, steps of four": odd * out_ch * words,
        "odd pixel, steps of one": odd * out_ch * rest,
        "odd pixel, channels": odd * out_ch,
        "pixel pairs": pairs,
        **_trips(pairs * quads, words, "2x2 products"),
        **_trips(pairs * tail, words, "odd channel"),
        **_trips(odd * out_ch, words, "odd pixel"),
        **_trips(pairs, quads, "channels"),
        **_alignment(pairs * quads * words, depth, "2x2 steps of four"),
        **_alignment(pairs * tail * words, depth, "odd channel, steps of four"),
        **_alignment(odd * out_ch * words, depth, "odd pixel, steps of four"),
    }


def _conv(s: Sizes, cache: Cache) -> Counts:
    pixels, inside, taps, rows, whole = _window(s)
    depth = s.kernel_y * s.kernel_x * s.in_ch
    weights = depth * s.out_ch
    in_bytes = s.in_y * s.in_x * s.in_ch
    quads = s.in_ch % 4 == 0
    words, rest = s.in_ch // 4, s.in_ch % 4
    run_words = s.kernel_x * s.in_ch // 4
    border = inside - whole * s.kernel_y * s.kernel_x
    return {
        **_product(depth, pixels, s.out_ch),
        "pixels": pixels,
        "taps": taps,
        "taps inside": inside,
        "taps outside": taps - inside,
        "taps inside, words": inside * words,
        "taps inside, bytes left": inside * rest,
        "taps outside, words": (taps - inside) * words,
        "taps outside, bytes": (taps - inside) * rest,
        "window rows": pixels * s.kernel_y,
        "window rows inside": rows,
        "window rows inside, in quads": rows * quads,
        "rows clipped": pixels * s.kernel_y - whole * s.kernel_y,
        "whole windows, rows": whole * s.kernel_y,
        "whole windows, words": whole * s.kernel_y * run_words,
        "border taps": border,
        "border taps, words": border * words,
        **_trips(inside, words, "taps inside"),
        **_alignment(inside * words, s.in_ch, "taps inside"),
        **_trips(whole * s.kernel_y, run_words, "whole windows, rows"),
        "gathered words": np.where(quads, 0, pixels * (depth // 4)),
        "gathered bytes": np.where(quads, 0, inside * s.in_ch),
        "lines of weights": weights / cache.line_bytes,
        "lines of input": in_bytes / cache.line_bytes,
        "lines of output": pixels * s.out_ch / cache.line_bytes,
        **_cached(weights + 4 * depth, weights, (pixels + 1) // 2, cache, "weights"),
        **_cached(6 * depth, 4 * depth, (pixels // 2) * (s.out_ch // 2), cache, "columns"),
    }


def _pointwise(s: Sizes, cache: Cache) -> Counts:
    pixels = s.out_y * s.out_x
    depth, in_bytes = s.in_ch, pixels * s.in_ch
    weights = depth * s.out_ch
    pairs_up, quads_up = (pixels + 1) // 2, (s.out_ch + 1) // 2
    return {
        **_product(depth, pixels, s.out_ch),
        "rounded-up steps of sixteen": pairs_up * quads_up * (depth // 16),
        "rounded-up steps of four": pairs_up * quads_up * (depth % 16 // 4),
        "rounded-up steps of one": pairs_up * quads_up * (depth % 4),
        "rounded-up rest": pairs_up * quads_up * (depth % 4 > 0),
        "rounded-up rest of four": pairs_up * quads_up * (depth % 16 // 4 > 0),
        "rounded-up products": pairs_up * quads_up,
        **_trips(pairs_up * quads_up, depth // 16, "rounded-up products"),
        **_alignment(pairs_up * quads_up * (depth // 4), depth, "rounded-up products"),
        "channel pairs": quads_up,
        "weight words": s.out_ch * (depth // 4),
        "weight bytes left": s.out_ch * (depth % 4),
        "pixels": pixels,
        "pixels, words": pixels * (depth // 4),
        "pixels, bytes left": pixels * (depth % 4),
        **_trips(pairs_up, depth // 2, "pixel pairs"),
        "lines of weights": weights / cache.line_bytes,
        "lines of input": in_bytes / cache.line_bytes,
        "lines of output": pixels * s.out_ch / cache.line_bytes,
        "output lines by channel": quads_up * pixels * (pixels * s.out_ch > cache.bytes),
        **_cached(weights + 4 * depth, weights, pairs_up, cache, "weights"),
        **_cached(6 * depth, 4 * depth, (pixels // 2) * (s.out_ch // 2), cache, "columns"),
        **_cached(in_bytes + pixels * 32, in_bytes, quads_up, cache, "input"),
    }


def _depthwise(s: Sizes, cache: Cache) -> Counts:
    pixels, inside, taps, rows, whole = _window(s)
    ch, window = s.out_ch, s.kernel_y * s.kernel_x
    words, rest = ch // 4, ch % 4
    row = s.in_x * s.in_ch
    of_image = lines_by_set(s, row, s.in_ch, cache)
    of_column = lines_by_set(s, s.kernel_x * ch, ch, cache)
    return {
        "pixels": pixels,
        "taps copied": inside,
        **_trips(inside, words, "taps copied"),
        **_alignment(inside, ch, "taps copied"),
        "words copied": inside * words,
        **_alignment(inside * words, ch, "words copied"),
        "words copied behind blocks": inside * (ch % 64 // 4),
        "blocks copied": inside * (ch // 64),
        "bytes copied": inside * rest,
        "taps cleared": taps - inside,
        "words cleared": (taps - inside) * words,
        "bytes cleared": (taps - inside) * rest,
        "quads": pixels * words,
        "quads, tap pairs": pixels * words * (window // 2),
        "quads, odd tap": pixels * words * (window % 2),
        **_trips(pixels, words, "pixels"),
        **_trips(pixels * words, window // 2, "quads"),
        **_trips(rows * words, s.kernel_x, "rows inside, quads"),
        **_trips((rows - whole * s.kernel_y) * words, s.kernel_x, "clipped rows, quads"),
        **_alignment(inside * words, ch, "taps inside, words"),
        "taps inside, words": inside * words,
        "channels left": pixels * rest,
        "channels left, taps": pixels * rest * window,
        "channels left, taps inside": inside * rest,
        "channels left, rows inside": rows * rest,
        **_trips(pixels * rest, window, "channels left"),
        "taps, channels": taps * ch,
        **_trips(pixels * s.kernel_y * ch, s.kernel_x, "window rows, channels"),
        **_trips(pixels * s.in_ch, ch // s.in_ch, "multiplier"),
        "input channels": pixels * s.in_ch,
        "whole windows": whole,
        "whole windows, quads": whole * words,
        "clipped windows, quads": (pixels - whole) * words,
        "clipped windows, rows": (rows - whole * s.kernel_y) * words,
        "clipped windows, taps": (inside - whole * window) * words,
        "rows inside, quads": rows * words,
        "taps inside, channels": inside * ch,
        "rows inside, channels": rows * ch,
        "channels": pixels * ch,
        "lines of input": s.in_y * row / cache.line_bytes,
        "lines of weights": window * ch / cache.line_bytes,
        "lines of output": pixels * ch / cache.line_bytes,
        **_cached(2 * window * ch, window * ch, pixels, cache, "weights"),
        **_cached(s.kernel_y * row + window * ch, s.kernel_y * s.stride_x * s.in_ch, pixels,
                  cache, "input rows"),
        "crowded lines of the image": pixels * words * crowded(of_image, cache),
        "crowded lines of weights": pixels * words * crowded(of_column, cache),
        "crowded lines, image and weights": pixels * words
        * crowded_together(of_image, of_column, cache),
        "crowded lines, column and weights": pixels * words
        * crowded_together(of_column, of_column, cache),
        "crowded lines at worst": pixels * words * crowded(of_column * 2, cache),
        "crowded lines at worst, whole lines": pixels * words
        * crowded(of_column * 2, cache) * (ch % cache.line_bytes == 0),
        "crowded lines at worst, few sets": pixels * words
        * crowded(of_column * 2, cache, others=1) * (ch % (4 * cache.line_bytes) == 0),
        "crowded lines at worst, fewest sets": pixels * words
        * crowded(of_column * 2, cache, others=1) * (ch % (8 * cache.line_bytes) == 0),
        "crowded lines of image and weights, whole lines": pixels * words
        * crowded(of_image + of_column, cache) * (ch % cache.line_bytes == 0),
        "crowded lines of image and weights, few sets": pixels * words
        * crowded(of_image + of_column, cache, others=1) * (ch % (4 * cache.line_bytes) == 0),
    }  # fmt: skip


def _fully_connected(s: Sizes, cache: Cache) -> Counts:
    length, rows = s.in_ch, s.out_ch
    fours, left = rows // 4, rows % 4
    twos, two_up, one = rows // 2, (rows + 1) // 2, rows % 2
    words, rest = length // 4, length % 4
    return {
        "inputs, words": words,
        "inputs, bytes left": rest,
        "four rows": fours,
        "four rows, words": fours * words,
        "four rows, steps of sixteen": fours * (length // 16),
        "four rows, steps of one": fours * rest,
        "rows left": left,
        "rows left, words": left * words,
        "rows left, steps of one": left * rest,
        "two rows": two_up,
        "two rows, steps of sixteen": two_up * (length // 16),
        "two rows, steps of four": two_up * (length % 16 // 4),
        "two rows, steps of one": two_up * rest,
        "two rows, words": twos * words,
        "last row, words": one * words,
        "last row": one,
        **_trips(fours, words, "four rows"),
        **_trips(left, words, "rows left"),
        **_trips(two_up, length // 16, "two rows"),
        **_trips(two_up, length % 16 // 4, "two rows, rest"),
        "two rows, with a rest": two_up * (rest > 0),
        **_alignment(left * words, length, "rows left, words"),
        **_alignment(two_up * words, length, "two rows, words"),
        "weights": rows * length,
        "lines of weights": rows * length / cache.line_bytes,
        "lines of input": length / cache.line_bytes,
        **_cached(4 * length, 2 * length, fours, cache, "inputs"),
        **_cached(2 * length, length, two_up, cache, "input bytes"),
    }


def _pool(s: Sizes, cache: Cache) -> Counts:
    in_y, _ = taps_inside(s.in_y, s.kernel_y, s.stride_y, s.pad_y, s.out_y)
    in_x, _ = taps_inside(s.in_x, s.kernel_x, s.stride_x, s.pad_x, s.out_x)
    ch, out_row, pixels = s.out_ch, s.out_x * s.out_ch, s.out_y * s.out_x
    words, rest = ch // 4, ch % 4
    row_words, row_rest = out_row // 4, out_row % 4
    firsts, more_x, more_y = s.in_y * s.out_x, s.in_y * (in_x - s.out_x), in_y - s.out_y
    inside = in_y * in_x
    two_x = s.in_y * np.minimum(s.out_x, in_x - s.out_x)
    two_y = np.minimum(s.out_y, more_y)
    return {
        "x pass, windows": firsts,
        "x pass, first words": firsts * words,
        "x pass, first bytes": firsts * rest,
        "x pass, first blocks": firsts * (ch // 64),
        "x pass, taps": more_x,
        "x pass, words": more_x * words,
        "x pass, second words": two_x * words,
        "x pass, bytes": more_x * rest,
        **_trips(more_x, words, "x pass, taps"),
        **_alignment(more_x * words, ch, "x pass, words"),
        **_trips(firsts, words, "x pass, windows"),
        **_alignment(firsts * words, ch, "x pass, first words"),
        **_alignment(firsts, ch, "x pass, windows"),
        **_trips(more_y, row_words, "y pass, taps"),
        **_alignment(more_y * row_words, out_row, "y pass, words"),
        **_alignment(more_y * row_words, s.in_x * ch, "y pass, words read"),
        "y pass, rows": s.out_y,
        "y pass, first words": s.out_y * row_words,
        "y pass, first bytes": s.out_y * row_rest,
        "y pass, taps": more_y,
        "y pass, words": more_y * row_words,
        "y pass, second words": two_y * row_words,
        "y pass, bytes": more_y * row_rest,
        "pixels": pixels,
        "pixels, words": pixels * words,
        "pixels, bytes": pixels * rest,
        "pixels, blocks": pixels * (ch // 64),
        "rows of windows, words": in_y * s.out_x * words,
        "rows of windows, bytes": in_y * s.out_x * rest,
        "taps": inside,
        "taps, words": inside * words,
        "taps, bytes": inside * rest,
        **_trips(inside, words, "taps"),
        **_alignment(inside * words, ch, "taps, words"),
        **_trips(pixels, words, "pixels"),
        **_alignment(pixels, ch, "pixels"),
        **_trips(pixels * words, s.kernel_x, "windows, words"),
        **_trips(in_y * s.out_x * words, s.kernel_x, "rows of windows, words"),
        **_trips(in_y * s.out_x * rest, s.kernel_x, "rows of windows, bytes"),
        "crowded lines": pixels * words * crowded(lines_by_set(s, s.in_x * ch, ch, cache), cache),
        "second taps, words": np.minimum(pixels, inside - pixels) * words,
        "third taps, words": np.clip(inside - 2 * pixels, 0, pixels) * words,
        "lines of input": s.in_y * s.in_x * ch / cache.line_bytes,
        "lines of output": pixels * ch / cache.line_bytes,
        **_cached(s.kernel_y * s.in_x * ch, s.kernel_y * s.stride_x * ch, pixels, cache, "rows"),
    }


def _elementwise(s: Sizes, cache: Cache) -> Counts:
    length = s.out_y * s.out_x * s.out_ch
    return {
        "words": length // 4,
        "bytes left": length % 4,
        "elements": length,
        "lines": -(-length // cache.line_bytes),
        "lines beyond the cache": np.maximum(0, length - cache.bytes) / cache.line_bytes,
    }


def _softmax(s: Sizes, cache: Cache) -> Counts:
    length = s.out_ch
    return {
        "elements": length,
        "lines": -(-length // cache.line_bytes),
        "short": np.minimum(length, 16),
        **_cached(6 * length, 6 * length, 0 * length + 2, cache, "elements"),
    }


_BY_OP = {
    OpType.CONV: _conv,
    OpType.POINTWISE: _pointwise,
    OpType.DEPTHWISE: _depthwise,
    OpType.FULLY_CONNECTED: _fully_connected,
    OpType.MAX_POOL: _pool,
    OpType.AVE_POOL: _pool,
    OpType.RELU: _elementwise,
    OpType.ADD: _elementwise,
    OpType.SOFTMAX: _softmax,
}
