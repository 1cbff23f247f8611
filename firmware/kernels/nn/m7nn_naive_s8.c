/* The naive forms of the s8 family, one element at a time, in plain C. */
#include "m7nn_pool_shape.h"
#include "m7nn_s8.h"

static int32_t clamp(int32_t x, int32_t min, int32_t max)
{
    if (x < min) {
        return min;
    }
    return x > max ? max : x;
}

/** sum * multiplier * 2^(shift - 31), rounded in the product and in the shift. */
static int32_t scaled(int32_t sum, int32_t multiplier, int32_t shift)
{
    int64_t x = (int64_t)sum * (1 << (shift > 0 ? shift : 0));
    x = (x * multiplier + (1 << 30)) >> 31;
    if (shift < 0) {
        const int64_t half = 1LL << (-shift - 1);
        x = x < 0 ? -((-x + half) >> -shift) : (x + half) >> -shift;
    }
    return (int32_t)x;
}

static int range_ok(int32_t in_offset, int32_t clamp_min, int32_t clamp_max)
{
    return in_offset >= -127 && in_offset <= 128 && clamp_min >= -128 && clamp_min <= clamp_max &&
           clamp_max <= 127;
}

int32_t m7nn_conv_s8_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                           const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                           int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                           int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                           const int32_t *shift, int32_t in_offset, int32_t out_offset,
                           int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                           int32_t out_y, int16_t *col_buffer)
{
    (void)col_buffer;
    if (in_x < 1 || in_y < 1 || in_ch < 1 || out_ch < 1 || kernel_x < 1 || kernel_y < 1 ||
        pad_x < 0 || pad_y < 0 || stride_x < 1 || stride_y < 1 || out_x < 1 || out_y < 1 ||
        !range_ok(in_offset, clamp_min, clamp_max)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t oy = 0; oy < out_y; oy++) {
        for (int32_t ox = 0; ox < out_x; ox++) {
            for (int32_t oc = 0; oc < out_ch; oc++) {
                int32_t sum = bias[oc];
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
                            sum += (pixel[ic] + in_offset) * w[ic];
                        }
                    }
                }
                int32_t value = scaled(sum, multiplier[oc], shift[oc]) + out_offset;
                out[(oy * out_x + ox) * out_ch + oc] = (int8_t)clamp(value, clamp_min, clamp_max);
            }
        }
    }
    return M7NN_OK;
}

int32_t m7nn_depthwise_s8_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                                const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                                int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                                int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                                const int32_t *shift, int32_t in_offset, int32_t out_offset,
                                int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                                int32_t out_y, int16_t *col_buffer)
{
    (void)col_buffer;
    if (in_x < 1 || in_y < 1 || in_ch < 1 || out_ch < 1 || out_ch % in_ch != 0 || kernel_x < 1 ||
        kernel_y < 1 || pad_x < 0 || pad_y < 0 || stride_x < 1 || stride_y < 1 || out_x < 1 ||
        out_y < 1 || !range_ok(in_offset, clamp_min, clamp_max)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t oy = 0; oy < out_y; oy++) {
        for (int32_t ox = 0; ox < out_x; ox++) {
            for (int32_t c = 0; c < out_ch; c++) {
                int32_t from = c / (out_ch / in_ch);
                int32_t sum = bias[c];
                for (int32_t ky = 0; ky < kernel_y; ky++) {
                    for (int32_t kx = 0; kx < kernel_x; kx++) {
                        int32_t y = oy * stride_y - pad_y + ky;
                        int32_t x = ox * stride_x - pad_x + kx;
                        if (y >= 0 && y < in_y && x >= 0 && x < in_x) {
                            sum += (in[(y * in_x + x) * in_ch + from] + in_offset) *
                                   weights[(ky * kernel_x + kx) * out_ch + c];
                        }
                    }
                }
                int32_t value = scaled(sum, multiplier[c], shift[c]) + out_offset;
                out[(oy * out_x + ox) * out_ch + c] = (int8_t)clamp(value, clamp_min, clamp_max);
            }
        }
    }
    return M7NN_OK;
}

int32_t m7nn_fc_s8_naive(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                         const int32_t *bias, int32_t multiplier, int32_t shift,
                         int32_t in_offset, int32_t out_offset, int32_t clamp_min,
                         int32_t clamp_max, int8_t *out)
{
    if (in_len < 1 || out_len < 1 || !range_ok(in_offset, clamp_min, clamp_max)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t row = 0; row < out_len; row++) {
        int32_t sum = bias[row];
        for (int32_t column = 0; column < in_len; column++) {
            sum += (in[column] + in_offset) * weights[row * in_len + column];
        }
        out[row] = (int8_t)clamp(scaled(sum, multiplier, shift) + out_offset, clamp_min,
                                 clamp_max);
    }
    return M7NN_OK;
}

int32_t m7nn_max_pool_s8_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                               int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                               int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                               int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y)
{
    if (!range_ok(0, clamp_min, clamp_max) ||
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
                int32_t best = -128;
                for (int32_t y = y_start; y < y_stop; y++) {
                    for (int32_t x = x_start; x < x_stop; x++) {
                        int32_t value = in[(y * in_x + x) * ch + c];
                        if (value > best) {
                            best = value;
                        }
                    }
                }
                out[(oy * out_x + ox) * ch + c] = (int8_t)clamp(best, clamp_min, clamp_max);
            }
        }
    }
    return M7NN_OK;
}

int32_t m7nn_ave_pool_s8_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                               int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                               int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                               int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y)
{
    if (!range_ok(0, clamp_min, clamp_max) ||
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
            int32_t count = (x_stop - x_start) * (y_stop - y_start);
            for (int32_t c = 0; c < ch; c++) {
                int32_t sum = 0;
                for (int32_t y = y_start; y < y_stop; y++) {
                    for (int32_t x = x_start; x < x_stop; x++) {
                        sum += in[(y * in_x + x) * ch + c];
                    }
                }
                int32_t mean = (sum < 0 ? sum - count / 2 : sum + count / 2) / count;
                out[(oy * out_x + ox) * ch + c] = (int8_t)clamp(mean, clamp_min, clamp_max);
            }
        }
    }
    return M7NN_OK;
}

void m7nn_add_s8_naive(const int8_t *in, const int8_t *in2, int32_t length, int32_t in_offset,
                       int32_t in_multiplier, int32_t in_shift, int32_t in2_offset,
                       int32_t in2_multiplier, int32_t in2_shift, int32_t left_shift,
                       int32_t out_offset, int32_t out_multiplier, int32_t out_shift,
                       int32_t clamp_min, int32_t clamp_max, int8_t *out)
{
    for (int32_t i = 0; i < length; i++) {
        int32_t a = scaled((in[i] + in_offset) * (1 << left_shift), in_multiplier, in_shift);
        int32_t b = scaled((in2[i] + in2_offset) * (1 << left_shift), in2_multiplier, in2_shift);
        int32_t value = scaled(a + b, out_multiplier, out_shift) + out_offset;
        out[i] = (int8_t)clamp(value, clamp_min, clamp_max);
    }
}

void m7nn_relu_s8_naive(int8_t *data, int32_t length, int32_t clamp_min, int32_t clamp_max)
{
    for (int32_t i = 0; i < length; i++) {
        data[i] = (int8_t)clamp(data[i], clamp_min, clamp_max);
    }
}
