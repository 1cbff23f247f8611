/* Fully connected layers: the vector is expanded once, rows are taken two or four at a time. */
#include "m7nn_internal.h"

static inline bool shape_ok(int32_t in_len, int32_t out_len, int32_t bias_shift, int32_t out_shift)
{
    return in_len > 0 && out_len > 0 && (uint32_t)bias_shift < 32u && (uint32_t)out_shift < 32u;
}

/** One row against the reordered vector: what is left when the rows do not fill a group. */
static int8_t row_product(const int8_t *weights, const int16_t *vector, int32_t in_len,
                          int32_t start, int32_t out_shift)
{
    int32_t sum = start;
    for (int32_t n = in_len >> 2; n > 0; n--) {
        uint32_t word = m7_load32(weights);
        sum = m7_smlad(m7_sxtb16(word), m7_load32(vector), sum);
        sum = m7_smlad(m7_sxtb16(m7_ror(word, 8)), m7_load32(vector + 2), sum);
        weights += 4;
        vector += 4;
    }
    for (int32_t n = in_len & 3; n > 0; n--) {
        sum = m7nn_mac(sum, *weights++, *vector++);
    }
    return m7nn_finish(sum, out_shift);
}

int32_t m7nn_fc(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                int16_t *vec_buffer)
{
    if (!shape_ok(in_len, out_len, bias_shift, out_shift)) {
        return M7NN_BAD_SHAPE;
    }
    m7nn_expand_reordered(in, vec_buffer, in_len);
    for (int32_t pair = out_len >> 1; pair > 0; pair--) {
        const int8_t *weights2 = weights + in_len;
        const int16_t *vector = vec_buffer;
        int32_t sum1 = m7nn_start(bias[0], bias_shift, out_shift);
        int32_t sum2 = m7nn_start(bias[1], bias_shift, out_shift);
        for (int32_t n = in_len >> 2; n > 0; n--) {
            uint32_t x = m7_load32(vector);
            uint32_t word1 = m7_load32(weights);
            uint32_t word2 = m7_load32(weights2);
            sum1 = m7_smlad(x, m7_sxtb16(word1), sum1);
            sum2 = m7_smlad(x, m7_sxtb16(word2), sum2);
            x = m7_load32(vector + 2);
            sum1 = m7_smlad(x, m7_sxtb16(m7_ror(word1, 8)), sum1);
            sum2 = m7_smlad(x, m7_sxtb16(m7_ror(word2, 8)), sum2);
            vector += 4;
            weights += 4;
            weights2 += 4;
        }
        for (int32_t n = in_len & 3; n > 0; n--) {
            int32_t x = *vector++;
            sum1 = m7nn_mac(sum1, x, *weights++);
            sum2 = m7nn_mac(sum2, x, *weights2++);
        }
        out[0] = m7nn_finish(sum1, out_shift);
        out[1] = m7nn_finish(sum2, out_shift);
        weights += in_len;
        bias += 2;
        out += 2;
    }
    if ((out_len & 1) != 0) {
        *out = row_product(weights, vec_buffer, in_len, m7nn_start(*bias, bias_shift, out_shift),
                           out_shift);
    }
    return M7NN_OK;
}

int32_t m7nn_fc_x4(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                   const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                   int16_t *vec_buffer)
{
    if (!shape_ok(in_len, out_len, bias_shift, out_shift)) {
        return M7NN_BAD_SHAPE;
    }
    m7nn_expand_reordered(in, vec_buffer, in_len);
    for (int32_t group = out_len >> 2; group > 0; group--) {
        const int16_t *vector = vec_buffer;
        int32_t sum1 = m7nn_start(bias[0], bias_shift, out_shift);
        int32_t sum2 = m7nn_start(bias[1], bias_shift, out_shift);
        int32_t sum3 = m7nn_start(bias[2], bias_shift, out_shift);
        int32_t sum4 = m7nn_start(bias[3], bias_shift, out_shift);
        for (int32_t n = in_len >> 2; n > 0; n--) {
            uint32_t x = m7_load32(vector);
            uint32_t rows12 = m7_load32(weights);
            uint32_t rows34 = m7_load32(weights + 4);
            sum1 = m7_smlad(x, m7_sxtb16(rows12), sum1);
            sum2 = m7_smlad(x, m7_sxtb16(m7_ror(rows12, 8)), sum2);
            sum3 = m7_smlad(x, m7_sxtb16(rows34), sum3);
            sum4 = m7_smlad(x, m7_sxtb16(m7_ror(rows34, 8)), sum4);
            x = m7_load32(vector + 2);
            rows12 = m7_load32(weights + 8);
            rows34 = m7_load32(weights + 12);
            sum1 = m7_smlad(x, m7_sxtb16(rows12), sum1);
            sum2 = m7_smlad(x, m7_sxtb16(m7_ror(rows12, 8)), sum2);
            sum3 = m7_smlad(x, m7_sxtb16(rows34), sum3);
            sum4 = m7_smlad(x, m7_sxtb16(m7_ror(rows34, 8)), sum4);
            vector += 4;
            weights += 16;
        }
        for (int32_t n = in_len & 3; n > 0; n--) {
            int32_t x = *vector++;
            sum1 = m7nn_mac(sum1, x, weights[0]);
            sum2 = m7nn_mac(sum2, x, weights[1]);
            sum3 = m7nn_mac(sum3, x, weights[2]);
            sum4 = m7nn_mac(sum4, x, weights[3]);
            weights += 4;
        }
        out[0] = m7nn_finish(sum1, out_shift);
        out[1] = m7nn_finish(sum2, out_shift);
        out[2] = m7nn_finish(sum3, out_shift);
        out[3] = m7nn_finish(sum4, out_shift);
        bias += 4;
        out += 4;
    }
    for (int32_t left = out_len & 3; left > 0; left--) {
        *out++ = row_product(weights, vec_buffer, in_len,
                             m7nn_start(*bias++, bias_shift, out_shift), out_shift);
        weights += in_len;
    }
    return M7NN_OK;
}
