/* s8 fully connected: two rows at a time, the offset added as the input is expanded. */
#include "m7nn_s8_internal.h"

/** Four columns of two rows. */
#define STEP(at)                                        \
    do {                                                \
        uint32_t x_odd = m7_load32(x + (at));           \
        uint32_t word1 = m7_load32(weights + (at));     \
        uint32_t word2 = m7_load32(weights2 + (at));    \
        uint32_t x_even = m7_sxtab16(offsets, x_odd);   \
        x_odd = m7_sxtab16_ror8(offsets, x_odd);        \
        sum1 = m7_smlad(x_even, m7_sxtb16(word1), sum1);      \
        sum2 = m7_smlad(x_even, m7_sxtb16(word2), sum2);      \
        sum1 = m7_smlad(x_odd, m7_sxtb16_ror8(word1), sum1);  \
        sum2 = m7_smlad(x_odd, m7_sxtb16_ror8(word2), sum2);  \
    } while (0)

int32_t m7nn_fc_s8(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                   const int32_t *bias, int32_t multiplier, int32_t shift, int32_t in_offset,
                   int32_t out_offset, int32_t clamp_min, int32_t clamp_max, int8_t *out)
{
    if (in_len < 1 || out_len < 1 || !m7nn_s8_range_ok(in_offset, clamp_min, clamp_max)) {
        return M7NN_BAD_SHAPE;
    }
    const m7nn_range range = {out_offset, clamp_min, clamp_max};
    const uint32_t offsets = m7nn_two(in_offset);
    for (int32_t row = 0; row < out_len; row += 2) {
        const bool pair = row + 1 < out_len; /* an odd last row is taken twice */
        const int8_t *weights2 = pair ? weights + in_len : weights;
        const int8_t *x = in;
        int32_t sum1 = bias[row];
        int32_t sum2 = pair ? bias[row + 1] : 0;
        for (int32_t n = in_len >> 4; n > 0; n--) {
            STEP(0);
            STEP(4);
            STEP(8);
            STEP(12);
            x += 16;
            weights += 16;
            weights2 += 16;
        }
        for (int32_t n = (in_len & 15) >> 2; n > 0; n--) {
            STEP(0);
            x += 4;
            weights += 4;
            weights2 += 4;
        }
        for (int32_t n = in_len & 3; n > 0; n--) {
            int32_t value = *x++ + in_offset;
            sum1 = m7nn_mac(sum1, value, *weights++);
            sum2 = m7nn_mac(sum2, value, *weights2++);
        }
        const m7nn_pair scaled = m7nn_scaled_2((m7nn_pair){sum1, sum2}, multiplier, shift);
        out[row] = m7nn_out_s8(scaled.first, range);
        if (pair) {
            out[row + 1] = m7nn_out_s8(scaled.second, range);
        }
        weights = weights2;
    }
    return M7NN_OK;
}
