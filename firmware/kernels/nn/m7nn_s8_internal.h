/* Shared by the optimised s8 kernels: from a sum to an output, and the clamp. */
#ifndef M7NN_S8_INTERNAL_H
#define M7NN_S8_INTERNAL_H

#include "m7nn_internal.h"
#include "m7nn_s8.h"

/** What the outputs of a layer have in common. */
typedef struct {
    int32_t offset;
    int32_t min;
    int32_t max;
} m7nn_range;

/**
 * sum * multiplier * 2^(shift - 31), rounded twice; needs |sum << max(shift, 0)| < 2^30.
 *
 * The high word of twice the product is what is wanted, in one instruction. Scales of trained
 * layers are far below 1, so the shift to the left is the rare case.
 */
static inline int32_t m7nn_scaled(int32_t sum, int32_t multiplier, int32_t shift)
{
    if (__builtin_expect(shift < 0, 1)) {
        int32_t x = m7_smmulr(sum * 2, multiplier);
        x += x >> 31; /* one less below zero: midpoints go away from it */
        return (x + (1 << (-shift - 1))) >> -shift;
    }
    return m7_smmulr((int32_t)((uint32_t)sum << (shift + 1)), multiplier);
}

typedef struct {
    int32_t first, second;
} m7nn_pair;

/** Two sums by one scale. */
static inline m7nn_pair m7nn_scaled_2(m7nn_pair sums, int32_t multiplier, int32_t shift)
{
    int32_t x = sums.first;
    int32_t y = sums.second;
    if (__builtin_expect(shift < 0, 1)) {
        const int32_t half = 1 << (-shift - 1);
        x = m7_smmulr(x * 2, multiplier);
        y = m7_smmulr(y * 2, multiplier);
        x += x >> 31;
        y += y >> 31;
        return (m7nn_pair){(x + half) >> -shift, (y + half) >> -shift};
    }
    return (m7nn_pair){m7_smmulr((int32_t)((uint32_t)x << (shift + 1)), multiplier),
                       m7_smmulr((int32_t)((uint32_t)y << (shift + 1)), multiplier)};
}

static inline int32_t m7nn_clamp(int32_t x, int32_t min, int32_t max)
{
    x = x < min ? min : x;
    return x > max ? max : x;
}

/** A scaled sum to an output. */
static inline int8_t m7nn_out_s8(int32_t scaled, m7nn_range range)
{
    return (int8_t)m7nn_clamp(scaled + range.offset, range.min, range.max);
}

/** Four scaled sums to four outputs in a word; low and high hold the clamp in every byte. */
static inline uint32_t m7nn_out_4_s8(int32_t s0, int32_t s1, int32_t s2, int32_t s3,
                                     int32_t offset, uint32_t low, uint32_t high)
{
    const uint32_t even = m7_pkhbt16((uint32_t)m7_ssat8(s0 + offset),
                                     (uint32_t)m7_ssat8(s2 + offset));
    const uint32_t odd = m7_pkhbt16((uint32_t)m7_ssat8(s1 + offset),
                                    (uint32_t)m7_ssat8(s3 + offset));
    const uint32_t bytes = m7_uxtb16(even) | m7_uxtb16(odd) << 8;
    return m7_min8(m7_max8(bytes, low), high);
}

/** Two channels of two pixels, in the order of m7nn_out_4_s8; without `pair` the first only. */
static inline void m7nn_store_2x2(uint32_t outputs, int8_t *pixel, int8_t *pixel2, bool pair)
{
    if (pair) {
        m7_store16(pixel, outputs);
        m7_store16(pixel2, outputs >> 16);
    } else {
        *pixel = (int8_t)outputs;
        *pixel2 = (int8_t)(outputs >> 16);
    }
}

/** A byte, four times. */
static inline uint32_t m7nn_four(int32_t x)
{
    return ((uint32_t)x & 0xffu) * 0x01010101u;
}

/** A number as both halves. */
static inline uint32_t m7nn_two(int32_t x)
{
    return ((uint32_t)x & 0xffffu) * 0x00010001u;
}

/** The ranges that every s8 kernel with weights checks alike. */
static inline bool m7nn_s8_range_ok(int32_t in_offset, int32_t clamp_min, int32_t clamp_max)
{
    return in_offset >= -127 && in_offset <= 128 && clamp_min >= -128 && clamp_min <= clamp_max &&
           clamp_max <= 127;
}

#endif /* M7NN_S8_INTERNAL_H */
