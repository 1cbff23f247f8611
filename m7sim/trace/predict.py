"""Predictors that make traces small: what they say is not stored, only where they are wrong.

Three predictors, each with an encoder and a decoder that learn alike from what they have seen:

* the next *block*: what followed the same three blocks the last time, else what followed the same
  block;
* the next *value* of a slot (a recorded register of a block, or the address of a site): the last
  one plus the step that was seen twice in a row; or, for slots where that fails and this does not,
  what followed the same value the last time (a list that is walked again and again);
* the next *site* that fires while a block executes: the one that fired after the same site the
  last time, or none (:mod:`m7sim.trace.predict_sites`).

What is wrong is told by numbers, which start with the ``gap``: how many predictions were right
since the last wrong one.

Decoders meet numbers that anybody may have written: they return an error code, and never read or
write outside their arrays. (No kernel here passes an array to another: that costs two atomic
operations a call, several times what the predictors do.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from m7sim.jit import kernel
from m7sim.trace.form import MASK

CONTEXTS = 1 << 16  # entries of the tables indexed by a hash

SOUND, DAMAGED = 0, -1

# Words of the carry of a predictor: what its kernels keep from chunk to chunk. READ and READ_BYTES
# are positions of decoders; DETAIL is what the number said that the gap was read from.
GAP, READ, READ_BYTES, DETAIL, LAST, BEFORE, BEFORE_THAT, CARRY_WORDS = range(8)
# Words of a slot.
VALUE, STRIDE, STRIDE_ONCE, TRUST, SLOT_WORDS = range(5)

# What encoders write at most, to size what they write to.
MOST_BLOCK_NUMBERS, MOST_VALUE_BYTES, MOST_VARINT_BYTES = 2, 4, 9
NEVER = 1 << 62  # gap behind the last number: no more wrong predictions
_TRUSTED, _MOST_TRUST = 2, 3
_MULTIPLIER = 0x61C88647  # from the golden ratio; below 2^31, so that products fit into 63 bits

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]
Int = int | np.int64


@kernel
def write_varints(numbers: I64, out: U8) -> int:
    """Write numbers ≥ 0 with seven bits a byte, low ones first; all bytes but the last have bit 7.

    ``out`` has room for MOST_VARINT_BYTES × numbers; the bytes written are returned.
    """
    at = 0
    for i in range(numbers.size):
        number = np.int64(numbers[i])
        while number >= 128:
            out[at] = np.uint8(number & 127 | 128)
            number >>= 7
            at += 1
        out[at] = np.uint8(number)
        at += 1
    return at


@kernel
def read_varints(data: U8, numbers: I64) -> int:
    """Read what `write_varints` wrote; ``numbers`` has room for one for each byte.

    Returns
    -------
    int
        How many there are; DAMAGED if the last one does not end, or one has more than 56 bits.
    """
    n = 0
    number, shift = np.int64(0), np.int64(0)
    for i in range(data.size):
        byte = np.int64(data[i])
        if shift > 49:
            return DAMAGED
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers[n] = number
            n += 1
            number, shift = np.int64(0), np.int64(0)
    return n if shift == 0 else DAMAGED


@kernel
def _block_context(last: Int, before: Int, before_that: Int) -> Int:
    mixed = (last * _MULTIPLIER ^ before * 0x45D9F3B5 ^ before_that * 0x119DE1F3) & MASK
    return (mixed * _MULTIPLIER & MASK) >> 16


@kernel
def _value_context(slot: Int, value: Int) -> Int:
    return ((value ^ slot * _MULTIPLIER & MASK) * _MULTIPLIER & MASK) >> 16


@kernel
def encode_blocks(blocks: I32, carry: I64, after: I32, contexts: I32, numbers: I64) -> int:
    """Tell where block ids differ from the prediction.

    Parameters
    ----------
    blocks
        int32[n], ids.
    carry
        int64[CARRY_WORDS], zero at first.
    after
        int32[ids], zero at first: what followed each block.
    contexts
        int32[CONTEXTS], zero at first: what followed three blocks.
    numbers
        int64[≥ MOST_BLOCK_NUMBERS × n], written.

    Returns
    -------
    int
        How many numbers: for each wrong prediction ``2 × gap``, when the second predictor is right;
        else ``2 × gap + 1`` and the id.
    """
    at = 0
    gap = np.int64(carry[GAP])
    last, before = np.int64(carry[LAST]), np.int64(carry[BEFORE])
    before_that = np.int64(carry[BEFORE_THAT])
    for n in range(blocks.size):
        block = np.int64(blocks[n])
        context = _block_context(last, before, before_that)
        if contexts[context] == block:
            gap += 1
        else:
            known = after[last] == block
            numbers[at] = 2 * gap if known else 2 * gap + 1
            at += 1
            if not known:
                numbers[at] = block
                at += 1
            gap = np.int64(0)
            contexts[context] = block
        after[last] = block
        before_that, before, last = before, last, block
    carry[GAP], carry[LAST], carry[BEFORE], carry[BEFORE_THAT] = gap, last, before, before_that
    return at


@kernel
def decode_blocks(
    numbers: I64, carry: I64, after: I32, contexts: I32, first_slot: I64, blocks: I32
) -> int:
    """Fill ``blocks`` from what `encode_blocks` told.

    ``carry[GAP]`` is -1 at first. Ids are below ``after.size``.

    Returns
    -------
    int
        How many values the blocks record, or DAMAGED.
    """
    n_values = np.int64(0)
    at, gap, detail = np.int64(carry[READ]), np.int64(carry[GAP]), np.int64(carry[DETAIL])
    last, before = np.int64(carry[LAST]), np.int64(carry[BEFORE])
    before_that = np.int64(carry[BEFORE_THAT])
    for n in range(blocks.size):
        if gap < 0:
            if at < numbers.size:
                gap, detail = numbers[at] >> 1, numbers[at] & 1
                at += 1
            else:
                gap = np.int64(NEVER)
        context = _block_context(last, before, before_that)
        if gap > 0:
            block = np.int64(contexts[context])
        else:
            block = np.int64(after[last])
            if detail:
                if at == numbers.size or numbers[at] >= after.size:
                    return DAMAGED
                block = np.int64(numbers[at])
                at += 1
            contexts[context] = block
        gap -= 1
        after[last] = block
        before_that, before, last = before, last, block
        blocks[n] = block
        n_values += first_slot[block + 1] - first_slot[block]
    carry[READ], carry[GAP], carry[DETAIL] = at, gap, detail
    carry[LAST], carry[BEFORE], carry[BEFORE_THAT] = last, before, before_that
    return int(n_values)


@kernel
def _trust(trust: Int, by_stride: bool, by_context: bool) -> Int:
    """How far the second predictor of a slot is trusted, by which of them were right."""
    if by_stride:
        return 0
    if by_context and trust < _MOST_TRUST:
        return trust + 1
    return trust


@kernel
def encode_values(
    blocks: I32, values: U32, first_slot: I64, carry: I64, slots: U32, contexts: U32,
    numbers: I64, extra: U8,
) -> tuple[int, int]:  # fmt: skip
    """Tell where values differ from the prediction.

    Parameters
    ----------
    blocks, values
        As many values for each block as it has slots.
    first_slot
        int64[ids + 1], first slot of each block.
    carry
        int64[CARRY_WORDS], zero at first.
    slots
        uint32[slots, SLOT_WORDS], zero at first.
    contexts
        uint32[CONTEXTS], zero at first.
    numbers, extra
        int64[≥ values], uint8[≥ MOST_VALUE_BYTES × values], written.

    Returns
    -------
    tuple
        How many numbers and bytes. A wrong prediction is the number ``8 × gap + n``; n = 0: the
        second predictor is right; else n bytes are the signed difference to the prediction by step,
        low byte first. Or DAMAGED, twice, if there are more or fewer values than blocks record.
    """
    i, at, at_byte = 0, 0, 0
    gap = np.int64(carry[GAP])
    for n in range(blocks.size):
        block = blocks[n]
        if i + first_slot[block + 1] - first_slot[block] > values.size:
            return DAMAGED, DAMAGED
        for slot in range(first_slot[block], first_slot[block + 1]):
            value = np.int64(values[i])
            i += 1
            before, stride = np.int64(slots[slot, VALUE]), np.int64(slots[slot, STRIDE])
            trust = np.int64(slots[slot, TRUST])
            by_stride = (before + stride) & MASK
            slots[slot, VALUE] = value
            if value == by_stride and trust < _TRUSTED:
                slots[slot, STRIDE_ONCE] = stride
                slots[slot, TRUST] = 0
                gap += 1
                continue
            context = _value_context(slot, before)
            by_context = np.int64(contexts[context])
            contexts[context] = value
            if value == (by_context if trust >= _TRUSTED else by_stride):
                gap += 1
            else:
                n_bytes = np.int64(0)
                if value != by_stride and value != by_context:
                    difference = (value - by_stride) & MASK
                    size = difference ^ (difference >> 31) * MASK  # as far from zero as it is
                    n_bytes += 1 + (size >= 0x80) + (size >= 0x8000) + (size >= 0x80_0000)
                    for byte in range(n_bytes):
                        extra[at_byte] = np.uint8(difference >> 8 * byte & 255)
                        at_byte += 1
                numbers[at] = gap << 3 | n_bytes
                at += 1
                gap = np.int64(0)
            step = (value - before) & MASK
            if step == slots[slot, STRIDE_ONCE]:
                slots[slot, STRIDE] = step
            slots[slot, STRIDE_ONCE] = step
            slots[slot, TRUST] = _trust(trust, value == by_stride, value == by_context)
    carry[GAP] = gap
    if i != values.size:
        return DAMAGED, DAMAGED
    return at, at_byte


@kernel
def decode_values(
    blocks: I32, values: U32, first_slot: I64, carry: I64, slots: U32, contexts: U32,
    numbers: I64, extra: U8,
) -> int:  # fmt: skip
    """Fill ``values`` from what `encode_values` told; SOUND or DAMAGED.

    ``carry[GAP]`` is -1 at first. There is room for the values of all blocks.
    """
    i = 0
    at, gap, n_bytes = np.int64(carry[READ]), np.int64(carry[GAP]), np.int64(carry[DETAIL])
    at_byte = np.int64(carry[READ_BYTES])
    for n in range(blocks.size):
        block = blocks[n]
        for slot in range(first_slot[block], first_slot[block + 1]):
            if gap < 0:
                if at < numbers.size:
                    gap, n_bytes = numbers[at] >> 3, numbers[at] & 7
                    at += 1
                else:
                    gap = np.int64(NEVER)
            before, stride = np.int64(slots[slot, VALUE]), np.int64(slots[slot, STRIDE])
            trust = np.int64(slots[slot, TRUST])
            by_stride = (before + stride) & MASK
            if gap > 0 and trust < _TRUSTED:
                slots[slot, VALUE] = by_stride
                slots[slot, STRIDE_ONCE] = stride
                slots[slot, TRUST] = 0
                values[i] = by_stride
                i += 1
                gap -= 1
                continue
            context = _value_context(slot, before)
            by_context = np.int64(contexts[context])
            if gap > 0:
                value = by_context
            elif n_bytes == 0:
                value = by_stride if trust >= _TRUSTED else by_context
            else:
                if n_bytes > MOST_VALUE_BYTES or at_byte + n_bytes > extra.size:
                    return DAMAGED
                difference = np.int64(0)
                for byte in range(n_bytes):
                    difference |= np.int64(extra[at_byte]) << 8 * byte
                    at_byte += 1
                difference -= difference >> 8 * n_bytes - 1 << 8 * n_bytes
                value = (by_stride + difference) & MASK
            gap -= 1
            contexts[context] = value
            slots[slot, VALUE] = value
            step = (value - before) & MASK
            if step == slots[slot, STRIDE_ONCE]:
                slots[slot, STRIDE] = step
            slots[slot, STRIDE_ONCE] = step
            slots[slot, TRUST] = _trust(trust, value == by_stride, value == by_context)
            values[i] = value
            i += 1
    carry[READ], carry[GAP], carry[DETAIL], carry[READ_BYTES] = at, gap, n_bytes, at_byte
    return SOUND
