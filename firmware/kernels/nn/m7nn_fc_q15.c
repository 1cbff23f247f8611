/* Fully connected layers on 16-bit activations with 8-bit weights. */
#include "m7nn_internal.h"

static inline bool shape_ok(int32_t in_len, int32_t out_len, int32_t bias_shift, int32_t out_shift)
{
    return in_len > 0 && out_len > 0 && (uint32_t)bias_shift < 32u && (uint32_t)out_shift < 32u;
}

static inline int16_t finish(int32_t sum, int32_t out_shift)
{
    return (int16_t)m7_ssat16(sum >> out_shift);
}

/** One plain row: what is left when the rows do not fill a group. */
static int16_t row_product(const int8_t *weights, const int16_t *in, int32_t in_len, int32_t sum,
                           int32_t out_shift)
{
    for (int32_t n = in_len >> 2; n > 0; n--) {
        uint32_t first = m7_load32(in);
        uint32_t second = m7_load32(in + 2);
        uint32_t word = m7_load32(weights);
        sum = m7_smlad(m7_sxtb16(word), m7_pkhbt16(first, second), sum);
        sum = m7_smlad(m7_sxtb16_ror8(word), m7_pkhtb16(second, first), sum);
        weights += 4;
        in += 4;
    }
    for (int32_t n = in_len & 3; n > 0; n--) {
        sum = m7nn_mac(sum, *weights++, *in++);
    }
    return finish(sum, out_shift);
}

int32_t m7nn_fc_q15(const int16_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                    const int8_t *bias, int32_t bias_shift, int32_t out_shift, int16_t *out)
{
    if (!shape_ok(in_len, out_len, bias_shift, out_shift)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t pair = out_len >> 1; pair > 0; pair--) {
        const int8_t *weights2 = weights + in_len;
        const int16_t *vector = in;
        int32_t sum1 = m7nn_start(bias[0], bias_shift, out_shift);
        int32_t sum2 = m7nn_start(bias[1], bias_shift, out_shift);
        for (int32_t n = in_len >> 2; n > 0; n--) {
            uint32_t first = m7_load32(vector);
            uint32_t second = m7_load32(vector + 2);
            uint32_t word1 = m7_load32(weights);
            uint32_t word2 = m7_load32(weights2);
            uint32_t even = m7_pkhbt16(first, second);
            uint32_t odd = m7_pkhtb16(second, first);
            sum1 = m7_smlad(even, m7_sxtb16(word1), sum1);
            sum2 = m7_smlad(even, m7_sxtb16(word2), sum2);
            sum1 = m7_smlad(odd, m7_sxtb16_ror8(word1), sum1);
            sum2 = m7_smlad(odd, m7_sxtb16_ror8(word2), sum2);
            vector += 4;
            weights += 4;
            weights2 += 4;
        }
        for (int32_t n = in_len & 3; n > 0; n--) {
            int32_t x = *vector++;
            sum1 = m7nn_mac(sum1, x, *weights++);
            sum2 = m7nn_mac(sum2, x, *weights2++);
        }
        out[0] = finish(sum1, out_shift);
        out[1] = finish(sum2, out_shift);
        weights += in_len;
        bias += 2;
        out += 2;
    }
    if ((out_len & 1) != 0) {
        *out = row_product(weights, in, in_len, m7nn_start(*bias, bias_shift, out_shift),
                           out_shift);
    }
    return M7NN_OK;
}

/** Two columns of four rows. */
#define COLUMNS(at)                                            \
    do {                                                       \
        uint32_t x = m7_load32(vector + (at));                 \
        uint32_t rows12 = m7_load32(weights + 4 * (at));       \
        uint32_t rows34 = m7_load32(weights + 4 * (at) + 4);   \
        sum1 = m7_smlad(x, m7_sxtb16(rows12), sum1);           \
        sum2 = m7_smlad(x, m7_sxtb16_ror8(rows12), sum2);      \
        sum3 = m7_smlad(x, m7_sxtb16(rows34), sum3);           \
        sum4 = m7_smlad(x, m7_sxtb16_ror8(rows34), sum4);      \
    } while (0)

int32_t m7nn_fc_q15_x4(const int16_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                       const int8_t *bias, int32_t bias_shift, int32_t out_shift, int16_t *out)
{
    if (!shape_ok(in_len, out_len, bias_shift, out_shift)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t group = out_len >> 2; group > 0; group--) {
        const int16_t *vector = in;
        int32_t sum1 = m7nn_start(bias[0], bias_shift, out_shift);
        int32_t sum2 = m7nn_start(bias[1], bias_shift, out_shift);
        int32_t sum3 = m7nn_start(bias[2], bias_shift, out_shift);
        int32_t sum4 = m7nn_start(bias[3], bias_shift, out_shift);
        for (int32_t n = in_len >> 2; n > 0; n--) {
            COLUMNS(0);
            COLUMNS(2);
            vector += 4;
            weights += 16;
        }
        if ((in_len & 2) != 0) {
            COLUMNS(0);
            vector += 2;
            weights += 8;
        }
        if ((in_len & 1) != 0) {
            int32_t x = *vector;
            sum1 = m7nn_mac(sum1, x, weights[0]);
            sum2 = m7nn_mac(sum2, x, weights[1]);
            sum3 = m7nn_mac(sum3, x, weights[2]);
            sum4 = m7nn_mac(sum4, x, weights[3]);
            weights += 4;
        }
        out[0] = finish(sum1, out_shift);
        out[1] = finish(sum2, out_shift);
        out[2] = finish(sum3, out_shift);
        out[3] = finish(sum4, out_shift);
        bias += 4;
        out += 4;
    }
    for (int32_t left = out_len & 3; left > 0; left--) {
        *out++ = row_product(weights, in, in_len, m7nn_start(*bias++, bias_shift, out_shift),
                             out_shift);
        weights += in_len;
    }
    return M7NN_OK;
}
