/* s8 convolution: im2col of two output pixels with the offset added, then a 2x2 product. */
#include <string.h>

#include "m7nn_s8_internal.h"

/** int8 plus offset to int16; each group of four is stored as 0, 2, 1, 3. */
static inline void expand_offset(const int8_t *source, int16_t *target, int32_t count,
                                 int32_t offset)
{
    const uint32_t offsets = m7nn_two(offset);
    for (int32_t n = count >> 2; n > 0; n--) {
        uint32_t word = m7_load32(source);
        m7_store32(target, m7_sxtab16(offsets, word));
        target += 4;
        M7NN_OPAQUE(target);
        m7_store32(target - 2, m7_sxtab16_ror8(offsets, word));
        source += 4;
    }
    for (int32_t n = count & 3; n > 0; n--) {
        *target++ = (int16_t)(*source++ + offset);
    }
}

/** The part of a kernel row that lies inside the image: [from, to). */
typedef struct {
    int32_t from;
    int32_t to;
} span;

static inline span inside(int32_t first, int32_t kernel, int32_t size)
{
    span s = {first < 0 ? -first : 0, kernel < size - first ? kernel : size - first};
    s.from = s.from < kernel ? s.from : kernel;
    s.to = s.to > s.from ? s.to : s.from;
    return s;
}

/** Column of channels in whole groups of four: each kernel row is expanded in one run. */
static void column_of_quads(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                            int32_t first_x, int32_t first_y, int32_t kernel_x, int32_t kernel_y,
                            int32_t offset, int16_t *column)
{
    const span s = inside(first_x, kernel_x, in_x);
    const int32_t row = kernel_x * in_ch;
    for (int32_t y = first_y; y < first_y + kernel_y; y++) {
        if (y < 0 || y >= in_y || s.from == s.to) {
            memset(column, 0, (uint32_t)row * sizeof *column);
        } else {
            if (s.from > 0) {
                memset(column, 0, (uint32_t)(s.from * in_ch) * sizeof *column);
            }
            expand_offset(in + (y * in_x + first_x + s.from) * in_ch, column + s.from * in_ch,
                          (s.to - s.from) * in_ch, offset);
            if (s.to < kernel_x) {
                memset(column + s.to * in_ch, 0,
                       (uint32_t)((kernel_x - s.to) * in_ch) * sizeof *column);
            }
        }
        column += row;
    }
}

/** Bytes in short runs; a call of memcpy would cost more than the bytes. */
static inline int8_t *copy_bytes(int8_t *target, const int8_t *source, int32_t count)
{
    for (int32_t n = count >> 2; n > 0; n--) {
        m7_store32(target, m7_load32(source));
        target += 4;
        source += 4;
        M7NN_OPAQUE(target); /* else the loop becomes the call */
    }
    for (int32_t n = count & 3; n > 0; n--) {
        *target++ = *source++;
        M7NN_OPAQUE(target);
    }
    return target;
}

/** Any channels: the bytes are gathered first, so that groups of four go on over the taps. */
static void column_of_bytes(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                            int32_t first_x, int32_t first_y, int32_t kernel_x, int32_t kernel_y,
                            int32_t offset, int16_t *column, int8_t *bytes)
{
    const span s = inside(first_x, kernel_x, in_x);
    const int32_t row = kernel_x * in_ch;
    int8_t *next = bytes;
    for (int32_t y = first_y; y < first_y + kernel_y; y++) {
        if (y < 0 || y >= in_y || s.from == s.to) {
            memset(next, -offset, (uint32_t)row);
            next += row;
        } else {
            if (s.from > 0) {
                memset(next, -offset, (uint32_t)(s.from * in_ch));
                next += s.from * in_ch;
            }
            next = copy_bytes(next, in + (y * in_x + first_x + s.from) * in_ch,
                              (s.to - s.from) * in_ch);
            if (s.to < kernel_x) {
                memset(next, -offset, (uint32_t)((kernel_x - s.to) * in_ch));
                next += (kernel_x - s.to) * in_ch;
            }
        }
    }
    expand_offset(bytes, column, row * kernel_y, offset);
}

/** Two channels by two pixels: sums without bias, in the order c1p1, c1p2, c2p1, c2p2. */
typedef struct {
    int32_t sum11, sum12, sum21, sum22;
} sums;

static inline sums product(const int8_t *weights, const int8_t *weights2, const int16_t *column,
                           const int16_t *column2, int32_t depth, int32_t bias1, int32_t bias2)
{
    sums s = {bias1, bias1, bias2, bias2};
    for (int32_t n = depth >> 2; n > 0; n--) {
        uint32_t odd1 = m7_load32(weights);
        uint32_t odd2 = m7_load32(weights2);
        uint32_t even1 = m7_sxtb16(odd1);
        odd1 = m7_sxtb16_ror8(odd1);
        uint32_t even2 = m7_sxtb16(odd2);
        odd2 = m7_sxtb16_ror8(odd2);
        uint32_t x = m7_load32(column);
        s.sum11 = m7_smlad(even1, x, s.sum11);
        s.sum21 = m7_smlad(even2, x, s.sum21);
        x = m7_load32(column2);
        s.sum12 = m7_smlad(even1, x, s.sum12);
        s.sum22 = m7_smlad(even2, x, s.sum22);
        x = m7_load32(column + 2);
        s.sum11 = m7_smlad(odd1, x, s.sum11);
        s.sum21 = m7_smlad(odd2, x, s.sum21);
        x = m7_load32(column2 + 2);
        s.sum12 = m7_smlad(odd1, x, s.sum12);
        s.sum22 = m7_smlad(odd2, x, s.sum22);
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
        s.sum11 = m7nn_mac(s.sum11, w1, x1);
        s.sum12 = m7nn_mac(s.sum12, w1, x2);
        s.sum21 = m7nn_mac(s.sum21, w2, x1);
        s.sum22 = m7nn_mac(s.sum22, w2, x2);
    }
    return s;
}

/** All channels of two output pixels. An odd last channel is taken twice and written once. */
static void product_2_pixels(const int8_t *weights, const int16_t *columns, int32_t out_ch,
                             int32_t depth, const int32_t *bias, const int32_t *multiplier,
                             const int32_t *shift, m7nn_range range, int8_t *out)
{
    int8_t *out2 = out + out_ch;
    const uint32_t low = m7nn_four(range.min);
    const uint32_t high = m7nn_four(range.max);
    for (int32_t c = 0; c < out_ch; c += 2) {
        const bool pair = c + 1 < out_ch;
        sums s = product(weights, pair ? weights + depth : weights, columns, columns + depth,
                         depth, bias[c], pair ? bias[c + 1] : 0);
        const m7nn_pair first =
            m7nn_scaled_2((m7nn_pair){s.sum11, s.sum12}, multiplier[c], shift[c]);
        m7nn_pair second = first;
        if (pair) {
            second = m7nn_scaled_2((m7nn_pair){s.sum21, s.sum22}, multiplier[c + 1], shift[c + 1]);
        }
        m7nn_store_2x2(m7nn_out_4_s8(first.first, second.first, first.second, second.second,
                                     range.offset, low, high),
                       out + c, out2 + c, pair);
        weights += 2 * depth;
    }
}

/** The one pixel left over when their number is odd. */
static void product_1_pixel(const int8_t *weights, const int16_t *column, int32_t out_ch,
                            int32_t depth, const int32_t *bias, const int32_t *multiplier,
                            const int32_t *shift, m7nn_range range, int8_t *out)
{
    for (int32_t c = 0; c < out_ch; c++) {
        const int16_t *x = column;
        int32_t sum = bias[c];
        for (int32_t n = depth >> 2; n > 0; n--) {
            uint32_t word = m7_load32(weights);
            sum = m7_smlad(m7_sxtb16(word), m7_load32(x), sum);
            sum = m7_smlad(m7_sxtb16_ror8(word), m7_load32(x + 2), sum);
            weights += 4;
            x += 4;
        }
        for (int32_t n = depth & 3; n > 0; n--) {
            sum = m7nn_mac(sum, *weights++, *x++);
        }
        out[c] = m7nn_out_s8(m7nn_scaled(sum, multiplier[c], shift[c]), range);
    }
}

int32_t m7nn_conv_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                     const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                     int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                     const int32_t *bias, const int32_t *multiplier, const int32_t *shift,
                     int32_t in_offset, int32_t out_offset, int32_t clamp_min, int32_t clamp_max,
                     int8_t *out, int32_t out_x, int32_t out_y, int16_t *col_buffer)
{
    if (!m7nn_s8_range_ok(in_offset, clamp_min, clamp_max) ||
        !m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, 0, 0, out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    const m7nn_range range = {out_offset, clamp_min, clamp_max};
    const int32_t depth = kernel_x * kernel_y * in_ch;
    int32_t filled = 0;
    for (int32_t y = 0; y < out_y; y++) {
        const int32_t first_y = y * stride_y - pad_y;
        for (int32_t x = 0; x < out_x; x++) {
            const int32_t first_x = x * stride_x - pad_x;
            int16_t *column = col_buffer + filled * depth;
            if ((in_ch & 3) == 0) {
                column_of_quads(in, in_x, in_y, in_ch, first_x, first_y, kernel_x, kernel_y,
                                in_offset, column);
            } else {
                column_of_bytes(in, in_x, in_y, in_ch, first_x, first_y, kernel_x, kernel_y,
                                in_offset, column, (int8_t *)(col_buffer + 2 * depth));
            }
            if (++filled == 2) {
                product_2_pixels(weights, col_buffer, out_ch, depth, bias, multiplier, shift,
                                 range, out);
                out += 2 * out_ch;
                filled = 0;
            }
        }
    }
    if (filled != 0) {
        product_1_pixel(weights, col_buffer, out_ch, depth, bias, multiplier, shift, range, out);
    }
    return M7NN_OK;
}
