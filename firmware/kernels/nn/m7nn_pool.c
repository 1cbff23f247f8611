/* Pooling split in two: along x in place, which destroys the input, then along y into the output. */
#include <string.h>

#include "m7nn_internal.h"
#include "m7nn_pool_shape.h"

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

/** target[i] = max(target[i], other[i]): one subtraction and one selection per word. */
static void select_larger(int8_t *target, const int8_t *other, int32_t length)
{
    for (int32_t n = length >> 2; n > 0; n--) {
        m7_store32(target, m7_max8(m7_load32(target), m7_load32(other)));
        target += 4;
        other += 4;
    }
    for (int32_t n = length & 3; n > 0; n--) {
        *target = *other > *target ? *other : *target;
        target++;
        other++;
    }
}

typedef void (*replace_function)(int8_t *target, const int8_t *other, int32_t length);

static inline int32_t max_pool(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                               int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                               int32_t stride_x, int32_t stride_y, int8_t *out, int32_t out_x,
                               int32_t out_y, replace_function replace)
{
    if (pad_x >= stride_x ||
        !m7nn_pool_shape_ok(in_x, in_y, ch, kernel_x, kernel_y, pad_x, pad_y, stride_x, stride_y,
                            out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t y = 0; y < in_y; y++) {
        int8_t *row = in + y * in_x * ch;
        for (int32_t x = 0; x < out_x; x++) {
            int32_t start = m7nn_window_start(x, stride_x, pad_x);
            int32_t stop = m7nn_window_stop(x, stride_x, pad_x, kernel_x, in_x);
            int8_t *target = row + x * ch;
            memmove(target, row + start * ch, (uint32_t)ch);
            for (int32_t tap = start + 1; tap < stop; tap++) {
                replace(target, row + tap * ch, ch);
            }
        }
    }
    for (int32_t y = 0; y < out_y; y++) {
        int32_t start = m7nn_window_start(y, stride_y, pad_y);
        int32_t stop = m7nn_window_stop(y, stride_y, pad_y, kernel_y, in_y);
        int8_t *target = out + y * out_x * ch;
        memcpy(target, in + start * in_x * ch, (uint32_t)(out_x * ch));
        for (int32_t tap = start + 1; tap < stop; tap++) {
            replace(target, in + tap * in_x * ch, out_x * ch);
        }
    }
    return M7NN_OK;
}

int32_t m7nn_max_pool(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                      int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                      int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                      int16_t *buffer)
{
    (void)buffer;
    return max_pool(in, in_x, in_y, ch, kernel_x, kernel_y, pad_x, pad_y, stride_x, stride_y, out,
                    out_x, out_y, compare_and_replace);
}

int32_t m7nn_max_pool_sel(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                          int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                          int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                          int16_t *buffer)
{
    (void)buffer;
    return max_pool(in, in_x, in_y, ch, kernel_x, kernel_y, pad_x, pad_y, stride_x, stride_y, out,
                    out_x, out_y, select_larger);
}

/** sums[i] += values[i], elements in the reordered places of m7nn_expand_reordered. */
static void accumulate(int16_t *sums, const int8_t *values, int32_t length)
{
    for (int32_t n = length >> 2; n > 0; n--) {
        uint32_t word = m7_load32(values);
        m7_store32(sums, m7_qadd16(m7_sxtb16(word), m7_load32(sums)));
        m7_store32(sums + 2, m7_qadd16(m7_sxtb16(m7_ror(word, 8)), m7_load32(sums + 2)));
        values += 4;
        sums += 4;
    }
    for (int32_t n = length & 3; n > 0; n--) {
        *sums = (int16_t)(*sums + *values++);
        sums++;
    }
}

/** target[i] = sums[i] / count toward zero, putting elements back in order. */
static void divide(int8_t *target, const int16_t *sums, int32_t count, int32_t length)
{
    for (int32_t n = length >> 2; n > 0; n--) {
        target[0] = (int8_t)(sums[0] / count);
        target[1] = (int8_t)(sums[2] / count);
        target[2] = (int8_t)(sums[1] / count);
        target[3] = (int8_t)(sums[3] / count);
        target += 4;
        sums += 4;
    }
    for (int32_t n = length & 3; n > 0; n--) {
        *target++ = (int8_t)(*sums++ / count);
    }
}

int32_t m7nn_ave_pool(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                      int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                      int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                      int16_t *buffer)
{
    if (pad_x >= stride_x || !m7nn_ave_pool_sides_ok(kernel_x, kernel_y) ||
        !m7nn_pool_shape_ok(in_x, in_y, ch, kernel_x, kernel_y, pad_x, pad_y, stride_x, stride_y,
                            out_x, out_y)) {
        return M7NN_BAD_SHAPE;
    }
    for (int32_t y = 0; y < in_y; y++) {
        int8_t *row = in + y * in_x * ch;
        for (int32_t x = 0; x < out_x; x++) {
            int32_t start = m7nn_window_start(x, stride_x, pad_x);
            int32_t stop = m7nn_window_stop(x, stride_x, pad_x, kernel_x, in_x);
            m7nn_expand_reordered(row + start * ch, buffer, ch);
            for (int32_t tap = start + 1; tap < stop; tap++) {
                accumulate(buffer, row + tap * ch, ch);
            }
            divide(row + x * ch, buffer, stop - start, ch);
        }
    }
    for (int32_t y = 0; y < out_y; y++) {
        int32_t start = m7nn_window_start(y, stride_y, pad_y);
        int32_t stop = m7nn_window_stop(y, stride_y, pad_y, kernel_y, in_y);
        m7nn_expand_reordered(in + start * in_x * ch, buffer, out_x * ch);
        for (int32_t tap = start + 1; tap < stop; tap++) {
            accumulate(buffer, in + tap * in_x * ch, out_x * ch);
        }
        divide(out + y * out_x * ch, buffer, stop - start, out_x * ch);
    }
    return M7NN_OK;
}
