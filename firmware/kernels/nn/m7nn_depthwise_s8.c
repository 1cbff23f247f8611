/* s8 depthwise convolution: four channels per step straight from the image, without im2col. */
#include "m7nn_s8_internal.h"

/** Constants of the layer. */
typedef struct {
    const int32_t *bias;
    const int32_t *multiplier;
    const int32_t *shift;
    m7nn_range range;
    int32_t offset;
    int32_t ch;       /* output channels */
    int32_t row;      /* elements from one image row to the next */
    int32_t kernel_x;
} layer;

typedef struct {
    int32_t sum0, sum1, sum2, sum3;
} quad;

/** One tap of four channels: even and odd bytes, each product in its own accumulator. */
static inline quad tap(quad s, const int8_t *x, const int8_t *w, uint32_t offsets)
{
    uint32_t x_odd = m7_load32(x);
    uint32_t w_odd = m7_load32(w);
    uint32_t x_even = m7_sxtab16(offsets, x_odd);
    uint32_t w_even = m7_sxtb16(w_odd);
    x_odd = m7_sxtab16_ror8(offsets, x_odd);
    w_odd = m7_sxtb16_ror8(w_odd);
    s.sum0 = m7_smlabb(x_even, w_even, s.sum0);
    s.sum2 = m7_smlatt(x_even, w_even, s.sum2);
    s.sum1 = m7_smlabb(x_odd, w_odd, s.sum1);
    s.sum3 = m7_smlatt(x_odd, w_odd, s.sum3);
    return s;
}

static inline quad start(const int32_t *bias)
{
    return (quad){bias[0], bias[1], bias[2], bias[3]};
}

static inline void finish(const layer *l, int32_t c, quad s, uint32_t low, uint32_t high,
                          int8_t *out)
{
    const int32_t *m = l->multiplier + c;
    const int32_t *shift = l->shift + c;
    m7_store32(out, m7nn_out_4_s8(m7nn_scaled(s.sum0, m[0], shift[0]),
                                  m7nn_scaled(s.sum1, m[1], shift[1]),
                                  m7nn_scaled(s.sum2, m[2], shift[2]),
                                  m7nn_scaled(s.sum3, m[3], shift[3]), l->range.offset, low,
                                  high));
}

/** Channels from `first` on, over the `rows` by `columns` taps that lie inside the image. */
static void pixel(const layer *l, const int8_t *in, const int8_t *weights, int32_t rows,
                  int32_t columns, int32_t first, int8_t *out)
{
    const uint32_t offsets = m7nn_two(l->offset);
    const uint32_t low = m7nn_four(l->range.min);
    const uint32_t high = m7nn_four(l->range.max);
    const int32_t ch = l->ch;
    const int32_t whole = ch & ~3;
    for (int32_t c = first; c < whole; c += 4) {
        quad s = start(l->bias + c);
        for (int32_t y = 0; y < rows; y++) {
            const int8_t *x = in + y * l->row + c;
            const int8_t *w = weights + y * l->kernel_x * ch + c;
            for (int32_t n = columns; n > 0; n--) {
                s = tap(s, x, w, offsets);
                x += ch;
                w += ch;
            }
        }
        finish(l, c, s, low, high, out + c);
    }
    for (int32_t c = whole; c < ch; c++) {
        int32_t sum = l->bias[c];
        for (int32_t y = 0; y < rows; y++) {
            const int8_t *x = in + y * l->row + c;
            const int8_t *w = weights + y * l->kernel_x * ch + c;
            for (int32_t n = columns; n > 0; n--) {
                sum = m7nn_mac(sum, *x + l->offset, *w);
                x += ch;
                w += ch;
            }
        }
        out[c] = m7nn_out_s8(m7nn_scaled(sum, l->multiplier[c], l->shift[c]), l->range);
    }
}

/** Whole groups of four channels over 3x3 taps, all inside the image; returns their number. */
static int32_t pixel_3x3(const layer *l, const int8_t *in, const int8_t *weights, int8_t *out)
{
    const uint32_t offsets = m7nn_two(l->offset);
    const uint32_t low = m7nn_four(l->range.min);
    const uint32_t high = m7nn_four(l->range.max);
    const int32_t ch = l->ch;
    const int32_t next = l->row - 2 * ch;
    const int32_t whole = ch & ~3;
    for (int32_t c = 0; c < whole; c += 4) {
        const int8_t *x = in + c;
        const int8_t *w = weights + c;
        quad s = start(l->bias + c);
#pragma GCC unroll 1 /* nine taps at once would not fit the registers */
        for (int32_t y = 3; y > 0; y--) {
            s = tap(s, x, w, offsets);
            x += ch;
            w += ch;
            s = tap(s, x, w, offsets);
            x += ch;
            w += ch;
            s = tap(s, x, w, offsets);
            x += next;
            w += ch;
        }
        finish(l, c, s, low, high, out + c);
    }
    return whole;
}

typedef struct {
    int32_t size, kernel, pad, stride, out;
} axis;

/** Taps of one output that lie inside the image: [from, to) of the kernel, 0 to 0 if none. */
typedef struct {
    int32_t first, from, to;
} span;

static inline span inside(int32_t index, const axis *a)
{
    const int32_t first = index * a->stride - a->pad;
    span s = {first, first < 0 ? -first : 0, a->size - first};
    s.to = s.to < a->kernel ? s.to : a->kernel;
    if (s.to <= s.from) {
        s.from = 0;
        s.to = 0;
    }
    return s;
}

static inline void depthwise(const layer *l, const int8_t *in, const int8_t *weights,
                             const axis *along_x, const axis *along_y, int8_t *out, bool nine)
{
    for (int32_t y = 0; y < along_y->out; y++) {
        const span rows = inside(y, along_y);
        for (int32_t x = 0; x < along_x->out; x++) {
            const span columns = inside(x, along_x);
            const int32_t taps_y = rows.to - rows.from;
            const int32_t taps_x = columns.to - columns.from;
            const int8_t *image = in;
            const int8_t *window = weights;
            int32_t done = 0;
            if (taps_x > 0 && taps_y > 0) {
                image += (rows.first + rows.from) * l->row + (columns.first + columns.from) * l->ch;
                window += (rows.from * l->kernel_x + columns.from) * l->ch;
            }
            if (nine && taps_x == 3 && taps_y == 3) {
                done = pixel_3x3(l, image, window, out);
            }
            if (done < l->ch) {
                pixel(l, image, window, taps_x > 0 ? taps_y : 0, taps_x, done, out);
            }
            out += l->ch;
        }
    }
}

int32_t m7nn_depthwise_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                          const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                          int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                          int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                          const int32_t *shift, int32_t in_offset, int32_t out_offset,
                          int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                          int32_t out_y, int16_t *col_buffer)
{
    (void)col_buffer;
    if (out_ch != in_ch || !m7nn_s8_range_ok(in_offset, clamp_min, clamp_max) ||
        !m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, 0, 0, out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    const layer l = {
        .bias = bias,
        .multiplier = multiplier,
        .shift = shift,
        .range = {out_offset, clamp_min, clamp_max},
        .offset = in_offset,
        .ch = in_ch,
        .row = in_x * in_ch,
        .kernel_x = kernel_x,
    };
    const axis along_x = {in_x, kernel_x, pad_x, stride_x, out_x};
    const axis along_y = {in_y, kernel_y, pad_y, stride_y, out_y};
    depthwise(&l, in, weights, &along_x, &along_y, out, false);
    return M7NN_OK;
}

int32_t m7nn_depthwise_3x3_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                              const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                              int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                              int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                              const int32_t *shift, int32_t in_offset, int32_t out_offset,
                              int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                              int32_t out_y, int16_t *col_buffer)
{
    (void)col_buffer;
    if (kernel_x != 3 || kernel_y != 3 || out_ch != in_ch || !m7nn_s8_range_ok(in_offset, clamp_min, clamp_max) ||
        !m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, 0, 0, out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    const layer l = {
        .bias = bias,
        .multiplier = multiplier,
        .shift = shift,
        .range = {out_offset, clamp_min, clamp_max},
        .offset = in_offset,
        .ch = in_ch,
        .row = in_x * in_ch,
        .kernel_x = kernel_x,
    };
    const axis along_x = {in_x, kernel_x, pad_x, stride_x, out_x};
    const axis along_y = {in_y, kernel_y, pad_y, stride_y, out_y};
    depthwise(&l, in, weights, &along_x, &along_y, out, true);
    return M7NN_OK;
}

/** Output channels of one pixel whose quads have one input channel each. */
static void pixel_multi(const layer *l, const int8_t *in, const int8_t *weights, int32_t rows,
                        int32_t columns, int32_t in_ch, int8_t *out)
{
    const uint32_t low = m7nn_four(l->range.min);
    const uint32_t high = m7nn_four(l->range.max);
    const int32_t ch = l->ch;
    const int32_t each = ch / in_ch;
    const int32_t offset = l->offset;
    for (int32_t from = 0; from < in_ch; from++) {
        for (int32_t c = from * each; c < (from + 1) * each; c += 4) {
            quad s = start(l->bias + c);
            for (int32_t y = 0; y < rows; y++) {
                const int8_t *x = in + y * l->row + from;
                const int8_t *w = weights + y * l->kernel_x * ch + c;
                for (int32_t n = columns; n > 0; n--) {
                    const uint32_t value = (uint32_t)(*x + offset);
                    uint32_t w_odd = m7_load32(w);
                    const uint32_t w_even = m7_sxtb16(w_odd);
                    w_odd = m7_sxtb16_ror8(w_odd);
                    s.sum0 = m7_smlabb(w_even, value, s.sum0);
                    s.sum2 = m7_smlatb(w_even, value, s.sum2);
                    s.sum1 = m7_smlabb(w_odd, value, s.sum1);
                    s.sum3 = m7_smlatb(w_odd, value, s.sum3);
                    x += in_ch;
                    w += ch;
                }
            }
            finish(l, c, s, low, high, out + c);
        }
    }
}

int32_t m7nn_depthwise_multi_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                                const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                                int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                                int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                                const int32_t *shift, int32_t in_offset, int32_t out_offset,
                                int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                                int32_t out_y, int16_t *col_buffer)
{
    (void)col_buffer;
    if (!m7nn_s8_range_ok(in_offset, clamp_min, clamp_max) ||
        !m7nn_conv_shape_ok(in_x, in_y, in_ch, out_ch, kernel_x, kernel_y, pad_x, pad_y, stride_x,
                            stride_y, 0, 0, out_x, out_y) ||
        out_ch % (4 * in_ch) != 0) {
        return M7NN_BAD_SHAPE;
    }
    const layer l = {
        .bias = bias,
        .multiplier = multiplier,
        .shift = shift,
        .range = {out_offset, clamp_min, clamp_max},
        .offset = in_offset,
        .ch = out_ch,
        .row = in_x * in_ch,
        .kernel_x = kernel_x,
    };
    const axis along_x = {in_x, kernel_x, pad_x, stride_x, out_x};
    const axis along_y = {in_y, kernel_y, pad_y, stride_y, out_y};
    for (int32_t y = 0; y < out_y; y++) {
        const span rows = inside(y, &along_y);
        for (int32_t x = 0; x < out_x; x++) {
            const span columns = inside(x, &along_x);
            int32_t taps_y = rows.to - rows.from;
            const int32_t taps_x = columns.to - columns.from;
            const int8_t *image = in;
            const int8_t *window = weights;
            if (taps_x > 0 && taps_y > 0) {
                image += ((rows.first + rows.from) * in_x + columns.first + columns.from) * in_ch;
                window += (rows.from * kernel_x + columns.from) * out_ch;
            } else {
                taps_y = 0;
            }
            pixel_multi(&l, image, window, taps_y, taps_x, in_ch, out);
            out += out_ch;
        }
    }
    return M7NN_OK;
}
