/* Convolutions by im2col of two output pixels and a 2x2 product. */
#include <string.h>

#include "m7nn_internal.h"

typedef void (*expand_function)(const int8_t *source, int16_t *target, int32_t count);

/** One column, tap by tap, with zeros for taps outside the image. */
static inline int16_t *column_checked(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                                      int32_t first_x, int32_t first_y, int32_t kernel_x,
                                      int32_t kernel_y, int16_t *column, expand_function expand)
{
    for (int32_t y = first_y; y < first_y + kernel_y; y++) {
        for (int32_t x = first_x; x < first_x + kernel_x; x++) {
            if (y < 0 || y >= in_y || x < 0 || x >= in_x) {
                memset(column, 0, (uint32_t)in_ch * sizeof *column);
            } else {
                expand(in + (y * in_x + x) * in_ch, column, in_ch);
            }
            column += in_ch;
        }
    }
    return column;
}

/** One column whose rows are inside the image: only x is checked. */
static inline int16_t *column_rows_inside(const int8_t *in, int32_t in_x, int32_t in_ch,
                                          int32_t first_x, int32_t first_y, int32_t kernel_x,
                                          int32_t kernel_y, int16_t *column,
                                          expand_function expand)
{
    for (int32_t y = first_y; y < first_y + kernel_y; y++) {
        for (int32_t x = first_x; x < first_x + kernel_x; x++) {
            if (x < 0 || x >= in_x) {
                memset(column, 0, (uint32_t)in_ch * sizeof *column);
            } else {
                expand(in + (y * in_x + x) * in_ch, column, in_ch);
            }
            column += in_ch;
        }
    }
    return column;
}

/** One column entirely inside the image: each kernel row is one run of kernel_x * in_ch. */
static inline int16_t *column_inside(const int8_t *in, int32_t in_x, int32_t in_ch,
                                     int32_t first_x, int32_t first_y, int32_t kernel_x,
                                     int32_t kernel_y, int16_t *column, expand_function expand)
{
    const int8_t *row = in + (first_y * in_x + first_x) * in_ch;
    for (int32_t n = 0; n < kernel_y; n++) {
        expand(row, column, kernel_x * in_ch);
        row += in_x * in_ch;
        column += kernel_x * in_ch;
    }
    return column;
}

/** Number of outputs in front of the first whose window starts inside: ceil(pad / stride). */
static inline int32_t outputs_before(int32_t pad, int32_t stride, int32_t out)
{
    int32_t count = (pad + stride - 1) / stride;
    return count < out ? count : out;
}

/** Number of outputs up to the last whose window ends inside the image. */
static inline int32_t outputs_until(int32_t in, int32_t kernel, int32_t pad, int32_t stride,
                                    int32_t out)
{
    int32_t last_start = in - kernel + pad;
    int32_t count = last_start < 0 ? 0 : last_start / stride + 1;
    return count < out ? count : out;
}

int32_t m7nn_conv_basic(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                        const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                        int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                        const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                        int32_t out_x, int32_t out_y, int16_t *col_buffer)
{
    if (!m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, bias_shift, out_shift, out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    const int32_t depth = kernel_x * kernel_y * in_ch;
    int16_t *column = col_buffer;
    for (int32_t y = 0; y < out_y; y++) {
        for (int32_t x = 0; x < out_x; x++) {
            column = column_checked(in, in_x, in_y, in_ch, x * stride_x - pad_x,
                                    y * stride_y - pad_y, kernel_x, kernel_y, column, m7nn_expand);
            if (column == col_buffer + 2 * depth) {
                out = m7nn_product_2x2(weights, col_buffer, out_ch, depth, bias_shift, out_shift,
                                       bias, out);
                column = col_buffer;
            }
        }
    }
    if (column != col_buffer) {
        m7nn_product_1(weights, col_buffer, out_ch, depth, bias_shift, out_shift, bias, out);
    }
    return M7NN_OK;
}

int32_t m7nn_conv_fast(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                       const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                       int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                       const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                       int32_t out_x, int32_t out_y, int16_t *col_buffer)
{
    if (in_ch % 4 != 0 || out_ch % 2 != 0 ||
        !m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, bias_shift, out_shift, out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    const int32_t depth = kernel_x * kernel_y * in_ch;
    const int32_t top = outputs_before(pad_y, stride_y, out_y);
    const int32_t bottom = outputs_until(in_y, kernel_y, pad_y, stride_y, out_y);
    const int32_t left = outputs_before(pad_x, stride_x, out_x);
    const int32_t right = outputs_until(in_x, kernel_x, pad_x, stride_x, out_x);
    int16_t *column = col_buffer;
    for (int32_t y = 0; y < out_y; y++) {
        const int32_t first_y = y * stride_y - pad_y;
        const bool rows_inside = y >= top && y < bottom;
        for (int32_t x = 0; x < out_x; x++) {
            const int32_t first_x = x * stride_x - pad_x;
            if (!rows_inside) {
                column = column_checked(in, in_x, in_y, in_ch, first_x, first_y, kernel_x,
                                        kernel_y, column, m7nn_expand_reordered);
            } else if (x < left || x >= right) {
                column = column_rows_inside(in, in_x, in_ch, first_x, first_y, kernel_x, kernel_y,
                                            column, m7nn_expand_reordered);
            } else {
                column = column_inside(in, in_x, in_ch, first_x, first_y, kernel_x, kernel_y,
                                       column, m7nn_expand_reordered);
            }
            if (column == col_buffer + 2 * depth) {
                out = m7nn_product_2x2_reordered(weights, col_buffer, out_ch, depth, bias_shift,
                                                 out_shift, bias, out);
                column = col_buffer;
            }
        }
    }
    if (column != col_buffer) {
        m7nn_product_1_reordered(weights, col_buffer, out_ch, depth, bias_shift, out_shift, bias,
                                 out);
    }
    return M7NN_OK;
}

/**
 * One pixel of three channels: a word load, a halfword and a word store.
 *
 * The word goes to the aligned half of the place, which is every second pixel's first.
 */
static inline void expand_rgb(const int8_t *pixel, int16_t *column)
{
    uint32_t word = m7_load32(pixel);
    uint32_t even = m7_sxtb16(word);
    uint32_t odd = m7_sxtb16(m7_ror(word, 8));
    if (((uintptr_t)column & 2u) != 0) {
        column[0] = (int16_t)even;
        m7_store32(column + 1, m7_pkhtb(even, odd));
    } else {
        m7_store32(column, m7_pkhbt16(even, odd));
        column[2] = (int16_t)(even >> 16);
    }
}

int32_t m7nn_conv_rgb(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                      const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                      int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                      const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                      int32_t out_x, int32_t out_y, int16_t *col_buffer)
{
    if (in_ch != 3 ||
        !m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, bias_shift, out_shift, out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    const int32_t depth = kernel_x * kernel_y * 3;
    /* A word load of the very last pixel would read one byte beyond the image. */
    const int8_t *last = in + (in_x * in_y - 1) * 3;
    int16_t *column = col_buffer;
    for (int32_t out_row = 0; out_row < out_y; out_row++) {
        const int32_t first_y = out_row * stride_y - pad_y;
        for (int32_t out_column = 0; out_column < out_x; out_column++) {
            const int32_t first_x = out_column * stride_x - pad_x;
            for (int32_t y = first_y; y < first_y + kernel_y; y++) {
                for (int32_t x = first_x; x < first_x + kernel_x; x++) {
                    const int8_t *pixel = in + (y * in_x + x) * 3;
                    if (y < 0 || y >= in_y || x < 0 || x >= in_x) {
                        column[0] = 0;
                        column[1] = 0;
                        column[2] = 0;
                    } else if (pixel != last) {
                        expand_rgb(pixel, column);
                    } else {
                        column[0] = pixel[0];
                        column[1] = pixel[1];
                        column[2] = pixel[2];
                    }
                    column += 3;
                }
            }
            if (column == col_buffer + 2 * depth) {
                out = m7nn_product_2x2(weights, col_buffer, out_ch, depth, bias_shift, out_shift,
                                       bias, out);
                column = col_buffer;
            }
        }
    }
    if (column != col_buffer) {
        m7nn_product_1(weights, col_buffer, out_ch, depth, bias_shift, out_shift, bias, out);
    }
    return M7NN_OK;
}

int32_t m7nn_conv_1x1(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                      const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                      int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                      const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                      int32_t out_x, int32_t out_y, int16_t *col_buffer)
{
    if (in_ch % 4 != 0 || out_ch % 2 != 0 || kernel_x != 1 || kernel_y != 1 || pad_x != 0 ||
        pad_y != 0 || stride_x != 1 || stride_y != 1 || out_x != in_x || out_y != in_y ||
        !m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, bias_shift, out_shift, out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    const int32_t pixels = in_x * in_y;
    for (int32_t n = pixels >> 1; n > 0; n--) {
        m7nn_expand_reordered(in, col_buffer, 2 * in_ch);
        out = m7nn_product_2x2_reordered(weights, col_buffer, out_ch, in_ch, bias_shift, out_shift,
                                         bias, out);
        in += 2 * in_ch;
    }
    if ((pixels & 1) != 0) {
        m7nn_expand_reordered(in, col_buffer, in_ch);
        m7nn_product_1_reordered(weights, col_buffer, out_ch, in_ch, bias_shift, out_shift, bias,
                                 out);
    }
    return M7NN_OK;
}
