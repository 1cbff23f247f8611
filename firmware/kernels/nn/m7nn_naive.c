/* The naive forms: what the optimised ones compute, one element at a time, in plain C. */
#include "m7nn.h"
#include "m7nn_pool_shape.h"

static int8_t saturate8(int32_t value)
{
    if (value > 127) {
        return 127;
    }
    return (int8_t)(value < -128 ? -128 : value);
}

static uint32_t start(int8_t bias, int32_t bias_shift, int32_t out_shift)
{
    uint32_t sum = (uint32_t)(int32_t)bias << bias_shift;
    if (out_shift > 0) {
        sum += 1u << (out_shift - 1);
    }
    return sum;
}

static int8_t finish(uint32_t sum, int32_t out_shift)
{
    return saturate8((int32_t)sum >> out_shift);
}

int32_t m7nn_conv_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                        const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                        int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                        const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                        int32_t out_x, int32_t out_y, int16_t *col_buffer)
{
    (void)col_buffer;
    if (in_x < 1 || in_y < 1 || in_ch < 1 || out_ch < 1 || kernel_x < 1 || kernel_y < 1 ||
        pad_x < 0 || pad_y < 0 || stride_x < 1 || stride_y < 1 || out_x < 1 || out_y < 1 ||
        bias_shift < 0 || bias_shift > 31 || out_shift < 0 || out_shift > 31) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t oy = 0; oy < out_y; oy++) {
        for (int32_t ox = 0; ox < out_x; ox++) {
            for (int32_t oc = 0; oc < out_ch; oc++) {
                uint32_t sum = start(bias[oc], bias_shift, out_shift);
                for (int32_t ky = 0; ky < kernel_y; ky++) {
                    for (int32_t kx = 0; kx < kernel_x; kx++) {
                        int32_t y = oy * stride_y - pad_y + ky;
                        int32_t x = ox * stride_x - pad_x + kx;
                        if (y < 0 || y >= in_y || x < 0 || x >= in_x) {
                            continue;
                        }
                        const int8_t *pixel = in + (y * in_x + x) * in_ch;
                        const int8_t *w =
                            weights + ((oc * kernel_y + ky) * kernel_x + kx) * in_ch;
                        for (int32_t ic = 0; ic < in_ch; ic++) {
                            sum += (uint32_t)(pixel[ic] * w[ic]);
                        }
                    }
                }
                out[(oy * out_x + ox) * out_ch + oc] = finish(sum, out_shift);
            }
        }
    }
    return M7NN_OK;
}

int32_t m7nn_depthwise_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                             const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                             int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                             int32_t stride_y, const int8_t *bias, int32_t bias_shift,
                             int32_t out_shift, int8_t *out, int32_t out_x, int32_t out_y,
                             int16_t *col_buffer)
{
    (void)col_buffer;
    if (in_x < 1 || in_y < 1 || in_ch < 1 || out_ch != in_ch || kernel_x < 1 || kernel_y < 1 ||
        pad_x < 0 || pad_y < 0 || stride_x < 1 || stride_y < 1 || out_x < 1 || out_y < 1 ||
        bias_shift < 0 || bias_shift > 31 || out_shift < 0 || out_shift > 31) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t oy = 0; oy < out_y; oy++) {
        for (int32_t ox = 0; ox < out_x; ox++) {
            for (int32_t c = 0; c < in_ch; c++) {
                uint32_t sum = start(bias[c], bias_shift, out_shift);
                for (int32_t ky = 0; ky < kernel_y; ky++) {
                    for (int32_t kx = 0; kx < kernel_x; kx++) {
                        int32_t y = oy * stride_y - pad_y + ky;
                        int32_t x = ox * stride_x - pad_x + kx;
                        if (y >= 0 && y < in_y && x >= 0 && x < in_x) {
                            sum += (uint32_t)(in[(y * in_x + x) * in_ch + c] *
                                              weights[(ky * kernel_x + kx) * in_ch + c]);
                        }
                    }
                }
                out[(oy * out_x + ox) * in_ch + c] = finish(sum, out_shift);
            }
        }
    }
    return M7NN_OK;
}

int32_t m7nn_fc_naive(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                      const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                      int16_t *vec_buffer)
{
    (void)vec_buffer;
    if (in_len < 1 || out_len < 1 || bias_shift < 0 || bias_shift > 31 || out_shift < 0 ||
        out_shift > 31) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t row = 0; row < out_len; row++) {
        uint32_t sum = start(bias[row], bias_shift, out_shift);
        for (int32_t column = 0; column < in_len; column++) {
            sum += (uint32_t)(in[column] * weights[row * in_len + column]);
        }
        out[row] = finish(sum, out_shift);
    }
    return M7NN_OK;
}

/** Place of a weight in the x4 order described in m7nn.h. */
static int32_t x4_index(int32_t row, int32_t column, int32_t in_len, int32_t out_len)
{
    int32_t group = row / 4 * 4;
    if (group + 4 > out_len) {
        return row * in_len + column;
    }
    int32_t r = row % 4;
    int32_t c = column % 4;
    if (column - c + 4 > in_len) {
        return group * in_len + column * 4 + r;
    }
    return group * in_len + (column - c) * 4 + (c % 2) * 8 + (r / 2) * 4 + (c / 2) * 2 + r % 2;
}

int32_t m7nn_fc_x4_naive(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                         const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                         int16_t *vec_buffer)
{
    (void)vec_buffer;
    if (in_len < 1 || out_len < 1 || bias_shift < 0 || bias_shift > 31 || out_shift < 0 ||
        out_shift > 31) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t row = 0; row < out_len; row++) {
        uint32_t sum = start(bias[row], bias_shift, out_shift);
        for (int32_t column = 0; column < in_len; column++) {
            sum += (uint32_t)(in[column] * weights[x4_index(row, column, in_len, out_len)]);
        }
        out[row] = finish(sum, out_shift);
    }
    return M7NN_OK;
}

int32_t m7nn_max_pool_naive(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                            int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                            int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                            int16_t *buffer)
{
    (void)buffer;
    if (!m7nn_pool_shape_ok(in_x, in_y, ch, kernel_x, kernel_y, pad_x, pad_y, stride_x, stride_y,
                            out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t oy = 0; oy < out_y; oy++) {
        for (int32_t ox = 0; ox < out_x; ox++) {
            for (int32_t c = 0; c < ch; c++) {
                int32_t best = -128;
                for (int32_t y = m7nn_window_start(oy, stride_y, pad_y);
                     y < m7nn_window_stop(oy, stride_y, pad_y, kernel_y, in_y); y++) {
                    for (int32_t x = m7nn_window_start(ox, stride_x, pad_x);
                         x < m7nn_window_stop(ox, stride_x, pad_x, kernel_x, in_x); x++) {
                        int32_t value = in[(y * in_x + x) * ch + c];
                        if (value > best) {
                            best = value;
                        }
                    }
                }
                out[(oy * out_x + ox) * ch + c] = (int8_t)best;
            }
        }
    }
    return M7NN_OK;
}

int32_t m7nn_ave_pool_naive(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                            int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                            int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                            int16_t *buffer)
{
    (void)buffer;
    if (!m7nn_ave_pool_sides_ok(kernel_x, kernel_y) ||
        !m7nn_pool_shape_ok(in_x, in_y, ch, kernel_x, kernel_y, pad_x, pad_y, stride_x, stride_y,
                            out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t oy = 0; oy < out_y; oy++) {
        int32_t y_start = m7nn_window_start(oy, stride_y, pad_y);
        int32_t y_stop = m7nn_window_stop(oy, stride_y, pad_y, kernel_y, in_y);
        for (int32_t ox = 0; ox < out_x; ox++) {
            int32_t x_start = m7nn_window_start(ox, stride_x, pad_x);
            int32_t x_stop = m7nn_window_stop(ox, stride_x, pad_x, kernel_x, in_x);
            for (int32_t c = 0; c < ch; c++) {
                int32_t sum = 0;
                for (int32_t y = y_start; y < y_stop; y++) {
                    int32_t row_sum = 0;
                    for (int32_t x = x_start; x < x_stop; x++) {
                        row_sum += in[(y * in_x + x) * ch + c];
                    }
                    sum += row_sum / (x_stop - x_start); /* int8 again before y */
                }
                out[(oy * out_x + ox) * ch + c] = (int8_t)(sum / (y_stop - y_start));
            }
        }
    }
    return M7NN_OK;
}

void m7nn_relu_naive(int8_t *data, int32_t length)
{
    for (int32_t i = 0; i < length; i++) {
        if (data[i] < 0) {
            data[i] = 0;
        }
    }
}

void m7nn_add_naive(const int8_t *in, const int8_t *in2, int32_t length, int8_t *out)
{
    for (int32_t i = 0; i < length; i++) {
        out[i] = saturate8(in[i] + in2[i]);
    }
}

int32_t m7nn_fc_q15_naive(const int16_t *in, const int8_t *weights, int32_t in_len,
                          int32_t out_len, const int8_t *bias, int32_t bias_shift,
                          int32_t out_shift, int16_t *out)
{
    if (in_len < 1 || out_len < 1 || bias_shift < 0 || bias_shift > 31 || out_shift < 0 ||
        out_shift > 31) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t row = 0; row < out_len; row++) {
        uint32_t sum = start(bias[row], bias_shift, out_shift);
        for (int32_t column = 0; column < in_len; column++) {
            sum += (uint32_t)(in[column] * weights[row * in_len + column]);
        }
        int32_t value = (int32_t)sum >> out_shift;
        if (value > 32767) {
            value = 32767;
        }
        out[row] = (int16_t)(value < -32768 ? -32768 : value);
    }
    return M7NN_OK;
}

void m7nn_softmax_naive(const int8_t *in, int32_t length, int8_t *out)
{
    int32_t base = -128;
    for (int32_t i = 0; i < length; i++) {
        base = in[i] > base ? in[i] : base;
    }
    base -= 8;
    int32_t sum = 0;
    for (int32_t i = 0; i < length; i++) {
        if (in[i] > base) {
            sum += 1 << (in[i] - base);
        }
    }
    for (int32_t i = 0; i < length; i++) { /* any length above 0 has a sum of 256 or more */
        out[i] = in[i] > base ? saturate8((0x100000 / sum) >> (13 + base - in[i])) : 0;
    }
}
