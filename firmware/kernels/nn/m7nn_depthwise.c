/* Depthwise convolution: an int8 column per output pixel, four channels by two taps per step. */
#include <string.h>

#include "m7nn_internal.h"

/** The int8 column [kernel_y][kernel_x][ch] of one output pixel. */
static inline void gather_column(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                                 int32_t first_x, int32_t first_y, int32_t kernel_x,
                                 int32_t kernel_y, int8_t *column)
{
    for (int32_t y = first_y; y < first_y + kernel_y; y++) {
        for (int32_t x = first_x; x < first_x + kernel_x; x++) {
            if (y < 0 || y >= in_y || x < 0 || x >= in_x) {
                memset(column, 0, (uint32_t)ch);
            } else {
                memcpy(column, in + (y * in_x + x) * ch, (uint32_t)ch);
            }
            column += ch;
        }
    }
}

/**
 * All channels of one output pixel; column and weights are both [taps][ch].
 *
 * Words of two successive taps are packed so that one SXTB16 yields both taps of one channel.
 */
__attribute__((noinline)) static void depthwise_pixel(const int8_t *column, const int8_t *weights, int32_t ch, int32_t taps,
                            const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out)
{
    const int32_t whole = ch & ~3;
    for (int32_t c = 0; c < whole; c += 4) {
        const int8_t *x = column + c;
        const int8_t *w = weights + c;
        int32_t sum1 = m7nn_start(bias[c], bias_shift, out_shift);
        int32_t sum2 = m7nn_start(bias[c + 1], bias_shift, out_shift);
        int32_t sum3 = m7nn_start(bias[c + 2], bias_shift, out_shift);
        int32_t sum4 = m7nn_start(bias[c + 3], bias_shift, out_shift);
        for (int32_t n = taps >> 1; n > 0; n--) {
            uint32_t x_first = m7_load32(x);
            x += ch;
            uint32_t x_second = m7_load32(x);
            x += ch;
            uint32_t w_first = m7_load32(w);
            w += ch;
            uint32_t w_second = m7_load32(w);
            w += ch;
            M7NN_OPAQUE(x); /* else both are computed anew behind the loop */
            M7NN_OPAQUE(w);
            uint32_t x_high = m7_pkhtb16(x_second, x_first);
            uint32_t x_low = m7_pkhbt16(x_first, x_second);
            uint32_t w_high = m7_pkhtb16(w_second, w_first);
            uint32_t w_low = m7_pkhbt16(w_first, w_second);
            sum1 = m7_smlad(m7_sxtb16(w_low), m7_sxtb16(x_low), sum1);
            sum2 = m7_smlad(m7_sxtb16(m7_ror(w_low, 8)), m7_sxtb16(m7_ror(x_low, 8)), sum2);
            sum3 = m7_smlad(m7_sxtb16(w_high), m7_sxtb16(x_high), sum3);
            sum4 = m7_smlad(m7_sxtb16(m7_ror(w_high, 8)), m7_sxtb16(m7_ror(x_high, 8)), sum4);
        }
        if ((taps & 1) != 0) {
            sum1 = m7nn_mac(sum1, x[0], w[0]);
            sum2 = m7nn_mac(sum2, x[1], w[1]);
            sum3 = m7nn_mac(sum3, x[2], w[2]);
            sum4 = m7nn_mac(sum4, x[3], w[3]);
        }
        *out++ = m7nn_finish(sum1, out_shift);
        *out++ = m7nn_finish(sum2, out_shift);
        *out++ = m7nn_finish(sum3, out_shift);
        *out++ = m7nn_finish(sum4, out_shift);
    }
    for (int32_t c = whole; c < ch; c++) {
        const int8_t *x = column + c;
        const int8_t *w = weights + c;
        int32_t sum = m7nn_start(bias[c], bias_shift, out_shift);
        for (int32_t n = taps; n > 0; n--) {
            sum = m7nn_mac(sum, *x, *w);
            x += ch;
            w += ch;
        }
        *out++ = m7nn_finish(sum, out_shift);
    }
}

int32_t m7nn_depthwise(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                       const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                       int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                       const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                       int32_t out_x, int32_t out_y, int16_t *col_buffer)
{
    if (out_ch != in_ch ||
        !m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, bias_shift, out_shift, out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    int8_t *column = (int8_t *)col_buffer;
    for (int32_t y = 0; y < out_y; y++) {
        for (int32_t x = 0; x < out_x; x++) {
            gather_column(in, in_x, in_y, in_ch, x * stride_x - pad_x, y * stride_y - pad_y,
                          kernel_x, kernel_y, column);
            depthwise_pixel(column, weights, in_ch, kernel_x * kernel_y, bias, bias_shift,
                            out_shift, out);
            out += in_ch;
        }
    }
    return M7NN_OK;
}
