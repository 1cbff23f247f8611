/* Matrix products of the convolutions: weights [out_ch][depth] by one or two int16 columns. */
#include "m7nn_internal.h"

/* Two channels by two pixels: four accumulators, so each expanded weight is used twice. */
int8_t *m7nn_product_2x2_reordered(const int8_t *weights, const int16_t *columns, int32_t out_ch,
                                   int32_t depth, int32_t bias_shift, int32_t out_shift,
                                   const int8_t *bias, int8_t *out)
{
    int8_t *out2 = out + out_ch;
    for (int32_t pair = out_ch >> 1; pair > 0; pair--) {
        const int8_t *weights2 = weights + depth;
        const int16_t *column = columns;
        const int16_t *column2 = columns + depth;
        int32_t sum11 = m7nn_start(bias[0], bias_shift, out_shift);
        int32_t sum12 = sum11;
        int32_t sum21 = m7nn_start(bias[1], bias_shift, out_shift);
        int32_t sum22 = sum21;
        for (int32_t n = depth >> 2; n > 0; n--) {
            uint32_t x1 = m7_load32(column);
            uint32_t x2 = m7_load32(column2);
            uint32_t word1 = m7_load32(weights);
            uint32_t word2 = m7_load32(weights2);
            uint32_t odd1 = m7_sxtb16(m7_ror(word1, 8));
            uint32_t even1 = m7_sxtb16(word1);
            uint32_t odd2 = m7_sxtb16(m7_ror(word2, 8));
            uint32_t even2 = m7_sxtb16(word2);
            sum11 = m7_smlad(even1, x1, sum11);
            sum12 = m7_smlad(even1, x2, sum12);
            sum21 = m7_smlad(even2, x1, sum21);
            sum22 = m7_smlad(even2, x2, sum22);
            x1 = m7_load32(column + 2);
            x2 = m7_load32(column2 + 2);
            sum11 = m7_smlad(odd1, x1, sum11);
            sum12 = m7_smlad(odd1, x2, sum12);
            sum21 = m7_smlad(odd2, x1, sum21);
            sum22 = m7_smlad(odd2, x2, sum22);
            weights += 4;
            weights2 += 4;
            column += 4;
            column2 += 4;
        }
        *out++ = m7nn_finish(sum11, out_shift);
        *out++ = m7nn_finish(sum21, out_shift);
        *out2++ = m7nn_finish(sum12, out_shift);
        *out2++ = m7nn_finish(sum22, out_shift);
        weights += depth;
        bias += 2;
    }
    return out2;
}

/* Products in the order of the operands' loads: four packed weights leave no registers for two
 * pixels at once, and each spilled one would cost two instructions per step. */
int8_t *m7nn_product_2x2(const int8_t *weights, const int16_t *columns, int32_t out_ch,
                         int32_t depth, int32_t bias_shift, int32_t out_shift, const int8_t *bias,
                         int8_t *out)
{
    int8_t *out2 = out + out_ch;
    for (int32_t pair = out_ch >> 1; pair > 0; pair--) {
        const int8_t *weights2 = weights + depth;
        const int16_t *column = columns;
        const int16_t *column2 = columns + depth;
        int32_t sum11 = m7nn_start(bias[0], bias_shift, out_shift);
        int32_t sum12 = sum11;
        int32_t sum21 = m7nn_start(bias[1], bias_shift, out_shift);
        int32_t sum22 = sum21;
        for (int32_t n = depth >> 2; n > 0; n--) {
            uint32_t word1 = m7_load32(weights);
            uint32_t word2 = m7_load32(weights2);
            uint32_t odd1 = m7_sxtb16(m7_ror(word1, 8));
            uint32_t even1 = m7_sxtb16(word1);
            uint32_t odd2 = m7_sxtb16(m7_ror(word2, 8));
            uint32_t even2 = m7_sxtb16(word2);
            uint32_t low1 = m7_pkhbt16(even1, odd1);
            uint32_t low2 = m7_pkhbt16(even2, odd2);
            uint32_t high1 = m7_pkhtb16(odd1, even1);
            uint32_t high2 = m7_pkhtb16(odd2, even2);
            uint32_t x1 = m7_load32(column);
            sum11 = m7_smlad(low1, x1, sum11);
            sum21 = m7_smlad(low2, x1, sum21);
            uint32_t x2 = m7_load32(column2);
            sum12 = m7_smlad(low1, x2, sum12);
            sum22 = m7_smlad(low2, x2, sum22);
            x1 = m7_load32(column + 2);
            sum11 = m7_smlad(high1, x1, sum11);
            sum21 = m7_smlad(high2, x1, sum21);
            x2 = m7_load32(column2 + 2);
            sum12 = m7_smlad(high1, x2, sum12);
            sum22 = m7_smlad(high2, x2, sum22);
            weights += 4;
            weights2 += 4;
            column += 4;
            column2 += 4;
        }
        for (int32_t n = depth & 3; n > 0; n--) {
            int32_t w1 = *weights++;
            int32_t w2 = *weights2++;
            int32_t x1 = *column++;
            int32_t x2 = *column2++;
            sum11 = m7nn_mac(sum11, w1, x1);
            sum12 = m7nn_mac(sum12, w1, x2);
            sum21 = m7nn_mac(sum21, w2, x1);
            sum22 = m7nn_mac(sum22, w2, x2);
        }
        *out++ = m7nn_finish(sum11, out_shift);
        *out++ = m7nn_finish(sum21, out_shift);
        *out2++ = m7nn_finish(sum12, out_shift);
        *out2++ = m7nn_finish(sum22, out_shift);
        weights += depth;
        bias += 2;
    }
    if ((out_ch & 1) != 0) { /* the odd last channel: one row of weights, two pixels */
        const int16_t *column = columns;
        const int16_t *column2 = columns + depth;
        int32_t sum1 = m7nn_start(bias[0], bias_shift, out_shift);
        int32_t sum2 = sum1;
        for (int32_t n = depth >> 2; n > 0; n--) {
            uint32_t word = m7_load32(weights);
            uint32_t odd = m7_sxtb16(m7_ror(word, 8));
            uint32_t even = m7_sxtb16(word);
            uint32_t low = m7_pkhbt16(even, odd);
            uint32_t high = m7_pkhtb16(odd, even);
            sum1 = m7_smlad(low, m7_load32(column), sum1);
            sum2 = m7_smlad(low, m7_load32(column2), sum2);
            sum1 = m7_smlad(high, m7_load32(column + 2), sum1);
            sum2 = m7_smlad(high, m7_load32(column2 + 2), sum2);
            weights += 4;
            column += 4;
            column2 += 4;
        }
        for (int32_t n = depth & 3; n > 0; n--) {
            int32_t w = *weights++;
            sum1 = m7nn_mac(sum1, w, *column++);
            sum2 = m7nn_mac(sum2, w, *column2++);
        }
        *out++ = m7nn_finish(sum1, out_shift);
        *out2++ = m7nn_finish(sum2, out_shift);
    }
    return out2;
}

void m7nn_product_1_reordered(const int8_t *weights, const int16_t *column, int32_t out_ch,
                              int32_t depth, int32_t bias_shift, int32_t out_shift,
                              const int8_t *bias, int8_t *out)
{
    for (int32_t channel = 0; channel < out_ch; channel++) {
        const int16_t *x = column;
        int32_t sum = m7nn_start(bias[channel], bias_shift, out_shift);
        for (int32_t n = depth >> 2; n > 0; n--) {
            uint32_t word = m7_load32(weights);
            uint32_t odd = m7_sxtb16(m7_ror(word, 8));
            uint32_t even = m7_sxtb16(word);
            sum = m7_smlad(even, m7_load32(x), sum);
            sum = m7_smlad(odd, m7_load32(x + 2), sum);
            weights += 4;
            x += 4;
        }
        *out++ = m7nn_finish(sum, out_shift);
    }
}

void m7nn_product_1(const int8_t *weights, const int16_t *column, int32_t out_ch, int32_t depth,
                    int32_t bias_shift, int32_t out_shift, const int8_t *bias, int8_t *out)
{
    for (int32_t channel = 0; channel < out_ch; channel++) {
        const int16_t *x = column;
        int32_t sum = m7nn_start(bias[channel], bias_shift, out_shift);
        for (int32_t n = depth >> 2; n > 0; n--) {
            uint32_t word = m7_load32(weights);
            uint32_t odd = m7_sxtb16(m7_ror(word, 8));
            uint32_t even = m7_sxtb16(word);
            sum = m7_smlad(m7_pkhbt16(even, odd), m7_load32(x), sum);
            sum = m7_smlad(m7_pkhtb16(odd, even), m7_load32(x + 2), sum);
            weights += 4;
            x += 4;
        }
        for (int32_t n = depth & 3; n > 0; n--) {
            sum = m7nn_mac(sum, *weights++, *x++);
        }
        *out++ = m7nn_finish(sum, out_shift);
    }
}
