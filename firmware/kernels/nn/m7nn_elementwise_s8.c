/* s8 addition and clamp, four elements per word. */
#include "m7nn_s8_internal.h"

typedef struct {
    int32_t a, b, c, d;
} four;

/** Elements of a word, plus an offset in both halves, in order. */
static inline four expand(uint32_t word, uint32_t offsets)
{
    const uint32_t even = m7_sxtab16(offsets, word);
    const uint32_t odd = m7_sxtab16_ror8(offsets, word);
    return (four){(int16_t)even, (int16_t)odd, (int32_t)even >> 16, (int32_t)odd >> 16};
}

/** x / 2^right to the nearest, midpoints away from zero. */
static inline int32_t rounded(int32_t x, int32_t half, int32_t right)
{
    x += x >> 31;
    return (x + half) >> right;
}

/** Each of x << (left - 1) scaled, for shifts of 0 or below: one test for four elements. */
static inline four scaled_4(four x, int32_t left, int32_t multiplier, int32_t shift)
{
    x = (four){m7_smmulr(x.a << left, multiplier), m7_smmulr(x.b << left, multiplier),
               m7_smmulr(x.c << left, multiplier), m7_smmulr(x.d << left, multiplier)};
    if (shift < 0) {
        const int32_t half = 1 << (-shift - 1);
        x = (four){rounded(x.a, half, -shift), rounded(x.b, half, -shift),
                   rounded(x.c, half, -shift), rounded(x.d, half, -shift)};
    }
    return x;
}

void m7nn_add_s8(const int8_t *in, const int8_t *in2, int32_t length, int32_t in_offset,
                 int32_t in_multiplier, int32_t in_shift, int32_t in2_offset,
                 int32_t in2_multiplier, int32_t in2_shift, int32_t left_shift,
                 int32_t out_offset, int32_t out_multiplier, int32_t out_shift,
                 int32_t clamp_min, int32_t clamp_max, int8_t *out)
{
    const uint32_t offsets = m7nn_two(in_offset);
    const uint32_t offsets2 = m7nn_two(in2_offset);
    const uint32_t low = m7nn_four(clamp_min);
    const uint32_t high = m7nn_four(clamp_max);
    for (int32_t n = length >> 2; n > 0; n--) {
        const four x = scaled_4(expand(m7_load32(in), offsets), left_shift + 1, in_multiplier,
                                in_shift);
        const four y = scaled_4(expand(m7_load32(in2), offsets2), left_shift + 1, in2_multiplier,
                                in2_shift);
        four sum = {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d};
        sum = scaled_4(sum, 1, out_multiplier, out_shift);
        m7_store32(out, m7nn_out_4_s8(sum.a, sum.b, sum.c, sum.d, out_offset, low, high));
        in += 4;
        in2 += 4;
        out += 4;
    }
    for (int32_t n = length & 3; n > 0; n--) {
        const int32_t sum =
            m7nn_scaled((*in++ + in_offset) << left_shift, in_multiplier, in_shift) +
            m7nn_scaled((*in2++ + in2_offset) << left_shift, in2_multiplier, in2_shift);
        const int32_t scaled = m7nn_scaled(sum, out_multiplier, out_shift);
        *out++ = (int8_t)m7nn_clamp(scaled + out_offset, clamp_min, clamp_max);
    }
}

void m7nn_relu_s8(int8_t *data, int32_t length, int32_t clamp_min, int32_t clamp_max)
{
    const uint32_t low = m7nn_four(clamp_min);
    const uint32_t high = m7nn_four(clamp_max);
    for (int32_t n = length >> 2; n > 0; n--) {
        m7_store32(data, m7_min8(m7_max8(m7_load32(data), low), high));
        data += 4;
    }
    for (int32_t n = length & 3; n > 0; n--) {
        *data = (int8_t)m7nn_clamp(*data, clamp_min, clamp_max);
        data++;
    }
}
