/* s8 pooling, pixel by pixel; the input stays as it is. */
#include <string.h>

#include "m7nn_pool_shape.h"
#include "m7nn_s8_internal.h"

/** One window, clipped to the image. */
typedef struct {
    int32_t top, bottom, left, right;
} window;

/** target[i] = max(target[i], other[i]): four byte compares per word. */
static void compare_and_replace(int8_t *target, const int8_t *other, int32_t length)
{
    for (int32_t n = length >> 2; n > 0; n--) {
        union {
            uint32_t word;
            int8_t byte[4];
        } best, candidate;
        best.word = m7_load32(target);
        candidate.word = m7_load32(other);
        other += 4;
        if (candidate.byte[0] > best.byte[0]) {
            best.byte[0] = candidate.byte[0];
        }
        if (candidate.byte[1] > best.byte[1]) {
            best.byte[1] = candidate.byte[1];
        }
        if (candidate.byte[2] > best.byte[2]) {
            best.byte[2] = candidate.byte[2];
        }
        if (candidate.byte[3] > best.byte[3]) {
            best.byte[3] = candidate.byte[3];
        }
        m7_store32(target, best.word);
        target += 4;
    }
    for (int32_t n = length & 3; n > 0; n--) {
        if (*other > *target) {
            *target = *other;
        }
        target++;
        other++;
    }
}

static void max_by_compare(const int8_t *in, int32_t in_x, int32_t ch, window w, int8_t *out)
{
    memcpy(out, in + (w.top * in_x + w.left) * ch, (uint32_t)ch);
    for (int32_t y = w.top; y < w.bottom; y++) {
        for (int32_t x = w.left; x < w.right; x++) {
            if (y > w.top || x > w.left) {
                compare_and_replace(out, in + (y * in_x + x) * ch, ch);
            }
        }
    }
}

static void max_by_select(const int8_t *in, int32_t in_x, int32_t ch, window w, int32_t clamp_min,
                          int32_t clamp_max, int8_t *out)
{
    const uint32_t low = m7nn_four(clamp_min);
    const uint32_t high = m7nn_four(clamp_max);
    const int8_t *first = in + (w.top * in_x + w.left) * ch;
    int32_t c = 0;
    for (; c + 4 <= ch; c += 4) {
        uint32_t best = low;
        const int8_t *row = first + c;
        for (int32_t y = w.top; y < w.bottom; y++) {
            const int8_t *x = row;
            for (int32_t n = w.right - w.left; n > 0; n--) {
                best = m7_max8(best, m7_load32(x));
                x += ch;
            }
            row += in_x * ch;
        }
        m7_store32(out + c, m7_min8(best, high));
    }
    for (; c < ch; c++) {
        int32_t best = clamp_min;
        for (int32_t y = w.top; y < w.bottom; y++) {
            for (int32_t x = w.left; x < w.right; x++) {
                int32_t value = in[(y * in_x + x) * ch + c];
                best = value > best ? value : best;
            }
        }
        out[c] = (int8_t)(best < clamp_max ? best : clamp_max);
    }
}

/** Sum to average: to nearest, midpoints away from zero. */
static inline int32_t average(int32_t sum, int32_t count)
{
    const int32_t half = count >> 1;
    return (sum + (sum < 0 ? -half : half)) / count;
}

/** Sums of elements 0 and 2, and of 1 and 3, of words `step` apart; up to 256 fit the halves. */
typedef struct {
    uint32_t even, odd;
} sums;

static inline sums sum_words(sums s, const int8_t *x, int32_t count, int32_t step)
{
    for (int32_t n = count; n > 0; n--) {
        const uint32_t word = m7_load32(x);
        x += step;
        s.even = m7_sxtab16(s.even, word);
        s.odd = m7_sxtab16_ror8(s.odd, word);
    }
    return s;
}

static void average_pixel(const int8_t *in, int32_t in_x, int32_t ch, window w, int32_t clamp_min,
                          int32_t clamp_max, int8_t *out)
{
    const int32_t columns = w.right - w.left;
    const int32_t count = columns * (w.bottom - w.top);
    const uint32_t low = m7nn_four(clamp_min);
    const uint32_t high = m7nn_four(clamp_max);
    const int8_t *first = in + (w.top * in_x + w.left) * ch;
    int32_t c = 0;
    for (; c + 4 <= ch; c += 4) {
        int32_t sum[4] = {0, 0, 0, 0};
        sums s = {0, 0};
        int32_t held = 0; /* words in s */
        const int8_t *row = first + c;
        for (int32_t y = w.top; y < w.bottom; y++) {
            for (int32_t from = 0; from < columns;) {
                int32_t part = columns - from;
                part = part < 256 - held ? part : 256 - held;
                s = sum_words(s, row + from * ch, part, ch);
                from += part;
                held += part;
                if (held == 256) {
                    sum[0] += (int16_t)s.even;
                    sum[1] += (int16_t)s.odd;
                    sum[2] += (int32_t)s.even >> 16;
                    sum[3] += (int32_t)s.odd >> 16;
                    s = (sums){0, 0};
                    held = 0;
                }
            }
            row += in_x * ch;
        }
        m7_store32(out + c, m7nn_out_4_s8(average(sum[0] + (int16_t)s.even, count),
                                          average(sum[1] + (int16_t)s.odd, count),
                                          average(sum[2] + ((int32_t)s.even >> 16), count),
                                          average(sum[3] + ((int32_t)s.odd >> 16), count), 0, low,
                                          high));
    }
    for (; c < ch; c++) {
        int32_t sum = 0;
        for (int32_t y = 0; y < w.bottom - w.top; y++) {
            for (int32_t x = 0; x < columns; x++) {
                sum += first[(y * in_x + x) * ch + c];
            }
        }
        out[c] = (int8_t)m7nn_clamp(average(sum, count), clamp_min, clamp_max);
    }
}

int32_t m7nn_max_pool_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                         int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                         int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                         int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y)
{
    if (!m7nn_s8_range_ok(0, clamp_min, clamp_max) ||
        !m7nn_pool_shape_ok(in_x, in_y, ch, kernel_x, kernel_y, pad_x, pad_y, stride_x, stride_y,
                            out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    int8_t *first = out;
    for (int32_t y = 0; y < out_y; y++) {
        for (int32_t x = 0; x < out_x; x++) {
            const window w = {
                .top = m7nn_window_start(y, stride_y, pad_y),
                .bottom = m7nn_window_stop(y, stride_y, pad_y, kernel_y, in_y),
                .left = m7nn_window_start(x, stride_x, pad_x),
                .right = m7nn_window_stop(x, stride_x, pad_x, kernel_x, in_x),
            };
            max_by_compare(in, in_x, ch, w, out);
            out += ch;
        }
    }
    m7nn_relu_s8(first, out_x * out_y * ch, clamp_min, clamp_max);
    return M7NN_OK;
}

int32_t m7nn_max_pool_s8_sel(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                             int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                             int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                             int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y)
{
    if (!m7nn_s8_range_ok(0, clamp_min, clamp_max) ||
        !m7nn_pool_shape_ok(in_x, in_y, ch, kernel_x, kernel_y, pad_x, pad_y, stride_x, stride_y,
                            out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t y = 0; y < out_y; y++) {
        for (int32_t x = 0; x < out_x; x++) {
            const window w = {
                .top = m7nn_window_start(y, stride_y, pad_y),
                .bottom = m7nn_window_stop(y, stride_y, pad_y, kernel_y, in_y),
                .left = m7nn_window_start(x, stride_x, pad_x),
                .right = m7nn_window_stop(x, stride_x, pad_x, kernel_x, in_x),
            };
            max_by_select(in, in_x, ch, w, clamp_min, clamp_max, out);
            out += ch;
        }
    }
    return M7NN_OK;
}

int32_t m7nn_ave_pool_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                         int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                         int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                         int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y)
{
    if (!m7nn_s8_range_ok(0, clamp_min, clamp_max) ||
        !m7nn_pool_shape_ok(in_x, in_y, ch, kernel_x, kernel_y, pad_x, pad_y, stride_x, stride_y,
                            out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t y = 0; y < out_y; y++) {
        for (int32_t x = 0; x < out_x; x++) {
            const window w = {
                .top = m7nn_window_start(y, stride_y, pad_y),
                .bottom = m7nn_window_stop(y, stride_y, pad_y, kernel_y, in_y),
                .left = m7nn_window_start(x, stride_x, pad_x),
                .right = m7nn_window_stop(x, stride_x, pad_x, kernel_x, in_x),
            };
            average_pixel(in, in_x, ch, w, clamp_min, clamp_max, out);
            out += ch;
        }
    }
    return M7NN_OK;
}
