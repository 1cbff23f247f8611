/* s8 pointwise convolution: a matrix product of two int8 operands, expanded in registers. */
#include "m7nn_s8_internal.h"

typedef struct {
    int32_t sum11, sum12, sum21, sum22; /* channel, pixel */
} sums;

/** One step of four: channels by pixels 2x2, both operands four int8. */
#define STEP(offset)                                    \
    do {                                                \
        uint32_t odd1 = m7_load32(w1 + (offset));       \
        uint32_t odd2 = m7_load32(w2 + (offset));       \
        uint32_t even1 = m7_sxtb16(odd1);               \
        odd1 = m7_sxtb16_ror8(odd1);                    \
        uint32_t even2 = m7_sxtb16(odd2);               \
        odd2 = m7_sxtb16_ror8(odd2);                    \
        uint32_t x = m7_load32(x1 + (offset));          \
        uint32_t even = m7_sxtb16(x);                   \
        s.sum11 = m7_smlad(even1, even, s.sum11);       \
        s.sum21 = m7_smlad(even2, even, s.sum21);       \
        x = m7_sxtb16_ror8(x);                          \
        s.sum11 = m7_smlad(odd1, x, s.sum11);           \
        s.sum21 = m7_smlad(odd2, x, s.sum21);           \
        x = m7_load32(x2 + (offset));                   \
        even = m7_sxtb16(x);                            \
        s.sum12 = m7_smlad(even1, even, s.sum12);       \
        s.sum22 = m7_smlad(even2, even, s.sum22);       \
        x = m7_sxtb16_ror8(x);                          \
        s.sum12 = m7_smlad(odd1, x, s.sum12);           \
        s.sum22 = m7_smlad(odd2, x, s.sum22);           \
    } while (0)

static inline sums product(const int8_t *w1, const int8_t *w2, const int8_t *x1, const int8_t *x2,
                           int32_t depth, int32_t start1, int32_t start2)
{
    sums s = {start1, start1, start2, start2};
    for (int32_t n = depth >> 4; n > 0; n--) {
        STEP(0);
        STEP(4);
        STEP(8);
        STEP(12);
        w1 += 16;
        w2 += 16;
        x1 += 16;
        x2 += 16;
    }
    for (int32_t n = (depth & 15) >> 2; n > 0; n--) {
        STEP(0);
        w1 += 4;
        w2 += 4;
        x1 += 4;
        x2 += 4;
    }
    for (int32_t n = depth & 3; n > 0; n--) {
        int32_t first = *w1++;
        int32_t second = *w2++;
        int32_t one = *x1++;
        int32_t two = *x2++;
        s.sum11 = m7nn_mac(s.sum11, first, one);
        s.sum12 = m7nn_mac(s.sum12, first, two);
        s.sum21 = m7nn_mac(s.sum21, second, one);
        s.sum22 = m7nn_mac(s.sum22, second, two);
    }
    return s;
}

/** Bias plus what the offset of the input adds: offset times the sum of the row of weights. */
static int32_t start_of(const int8_t *weights, int32_t depth, int32_t in_offset, int32_t bias)
{
    int32_t sum = 0;
    for (int32_t n = depth >> 2; n > 0; n--) {
        uint32_t word = m7_load32(weights);
        sum = m7_smlad(m7_sxtb16(word), 0x00010001u, sum);
        sum = m7_smlad(m7_sxtb16_ror8(word), 0x00010001u, sum);
        weights += 4;
    }
    for (int32_t n = depth & 3; n > 0; n--) {
        sum += *weights++;
    }
    return m7nn_mac(bias, sum, in_offset);
}

int32_t m7nn_conv_1x1_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                         const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                         int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                         int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                         const int32_t *shift, int32_t in_offset, int32_t out_offset,
                         int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                         int32_t out_y, int16_t *col_buffer)
{
    (void)col_buffer;
    if (kernel_x != 1 || kernel_y != 1 || pad_x != 0 || pad_y != 0 || stride_x != 1 ||
        stride_y != 1 || out_x != in_x || out_y != in_y ||
        !m7nn_s8_range_ok(in_offset, clamp_min, clamp_max) ||
        !m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, 0, 0, out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    const uint32_t low = m7nn_four(clamp_min);
    const uint32_t high = m7nn_four(clamp_max);
    const int32_t pixels = in_x * in_y;
    for (int32_t c = 0; c < out_ch; c += 2) {
        const bool pair = c + 1 < out_ch; /* an odd last channel is taken twice */
        const int8_t *weights2 = pair ? weights + in_ch : weights;
        const int32_t start1 = start_of(weights, in_ch, in_offset, bias[c]);
        const int32_t start2 = pair ? start_of(weights2, in_ch, in_offset, bias[c + 1]) : start1;
        const int8_t *pixel = in;
        int8_t *target = out + c;
        for (int32_t n = 0; n < pixels; n += 2) {
            const bool two = n + 1 < pixels; /* and so is an odd last pixel */
            sums s = product(weights, weights2, pixel, two ? pixel + in_ch : pixel, in_ch, start1,
                             start2);
            const m7nn_pair first =
                m7nn_scaled_2((m7nn_pair){s.sum11, s.sum12}, multiplier[c], shift[c]);
            m7nn_pair second = first;
            if (pair) {
                second =
                    m7nn_scaled_2((m7nn_pair){s.sum21, s.sum22}, multiplier[c + 1], shift[c + 1]);
            }
            m7nn_store_2x2(m7nn_out_4_s8(first.first, second.first, first.second, second.second,
                                         out_offset, low, high),
                           target, two ? target + out_ch : target, pair);
            target += 2 * out_ch;
            pixel += 2 * in_ch;
        }
        weights += 2 * in_ch;
    }
    return M7NN_OK;
}
