/* Shared by the kernels: start and end of an accumulator, column expansion, 2x2 products. */
#ifndef M7NN_INTERNAL_H
#define M7NN_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "m7dsp.h"
#include "m7nn.h"

/** Hides how a pointer came about, so that accesses by it are not rearranged into others. */
#define M7NN_OPAQUE(pointer) __asm__("" : "+r"(pointer))

/** (bias << bias_shift) + rounding half; shifted as unsigned, so that it wraps. */
static inline int32_t m7nn_start(int8_t bias, int32_t bias_shift, int32_t out_shift)
{
    return (int32_t)(((uint32_t)(int32_t)bias << bias_shift) + ((1u << out_shift) >> 1));
}

/** accumulator + x * y for one element, wrapping as SMLAD does. */
static inline int32_t m7nn_mac(int32_t accumulator, int32_t x, int32_t y)
{
    return (int32_t)((uint32_t)accumulator + (uint32_t)(x * y));
}

/** accumulator >> out_shift, saturated to 8 bits. */
static inline int8_t m7nn_finish(int32_t accumulator, int32_t out_shift)
{
    return (int8_t)m7_ssat8(accumulator >> out_shift);
}

/** The arguments that every convolution checks alike. */
static inline bool m7nn_conv_shape_ok(int32_t in_x, int32_t in_y, int32_t in_ch, int32_t out_ch,
                                      int32_t kernel_x, int32_t kernel_y, int32_t pad_x,
                                      int32_t pad_y, int32_t stride_x, int32_t stride_y,
                                      int32_t bias_shift, int32_t out_shift, int32_t out_x,
                                      int32_t out_y)
{
    return in_x > 0 && in_y > 0 && in_ch > 0 && out_ch > 0 && kernel_x > 0 && kernel_y > 0 &&
           pad_x >= 0 && pad_y >= 0 && stride_x > 0 && stride_y > 0 && out_x > 0 && out_y > 0 &&
           (uint32_t)bias_shift < 32u && (uint32_t)out_shift < 32u;
}

/** int8 to int16, element order kept. */
void m7nn_expand(const int8_t *source, int16_t *target, int32_t count);

/** int8 to int16; each group of four is stored as 0, 2, 1, 3 (left-over elements in order). */
void m7nn_expand_reordered(const int8_t *source, int16_t *target, int32_t count);

/**
 * Two output pixels, all output channels: weights [out_ch][depth] times columns [2][depth].
 *
 * Writes out_ch results of the first pixel and, behind them, out_ch of the second; returns the
 * place behind those.
 */
int8_t *m7nn_product_2x2(const int8_t *weights, const int16_t *columns, int32_t out_ch,
                         int32_t depth, int32_t bias_shift, int32_t out_shift, const int8_t *bias,
                         int8_t *out);

/** The same on reordered columns; depth % 4 == 0 and out_ch % 2 == 0. */
int8_t *m7nn_product_2x2_reordered(const int8_t *weights, const int16_t *columns, int32_t out_ch,
                                   int32_t depth, int32_t bias_shift, int32_t out_shift,
                                   const int8_t *bias, int8_t *out);

/** The one pixel left over when their number is odd; in-order column. */
void m7nn_product_1(const int8_t *weights, const int16_t *column, int32_t out_ch, int32_t depth,
                    int32_t bias_shift, int32_t out_shift, const int8_t *bias, int8_t *out);

/** The same on a reordered column; depth % 4 == 0. */
void m7nn_product_1_reordered(const int8_t *weights, const int16_t *column, int32_t out_ch,
                              int32_t depth, int32_t bias_shift, int32_t out_shift,
                              const int8_t *bias, int8_t *out);

#endif /* M7NN_INTERNAL_H */
