/*
 * m7nn, s8 family: int8 kernels with offsets and a scale per output channel.
 *
 * A number stands for scale * (integer + offset). The integers of a layer:
 *
 *     sum    = bias + sum((input + in_offset) * weight)              32 bits
 *     output = clamp(scaled(sum, multiplier, shift) + out_offset)    to [clamp_min, clamp_max]
 *     scaled = sum * multiplier * 2^(shift - 31), rounded twice: in the high half of the product
 *              (to nearest, midpoints up) and in the right shift for a negative shift (to
 *              nearest, midpoints away from zero)
 *
 * bias, multiplier (0, or 2^30 to 2^31 - 1) and shift (-31 to 30) are int32, one per output
 * channel. Outside the image the real value is 0, so padding adds nothing to a sum. Weights have
 * no offset. in_offset is -127 to 128. |sum * 2^max(shift, 0)| must stay below 2^30, as it does
 * for any layer of fewer than 2^15 MACs per output whose scale is below 1.
 *
 * The scheme is that of TensorFlow Lite's int8 operators, and results equal its reference
 * operators for microcontrollers. Layouts, return values and the meaning of *_naive are those of
 * m7nn.h, but for depthwise weights: [kernel_y][kernel_x][out_ch].
 */
#ifndef M7NN_S8_H
#define M7NN_S8_H

#include <stdint.h>

#include "m7nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of the scratch buffers, in int16_t elements. A convolution holds two int16 columns and,
 * unless in_ch % 4 == 0, one int8 column. */
#define M7NN_CONV_S8_BUFFER(kernel_x, kernel_y, in_ch) \
    (2 * (kernel_x) * (kernel_y) * (in_ch) + ((kernel_x) * (kernel_y) * (in_ch) + 1) / 2)
/* In int32_t elements: the exponentials of one row. */
#define M7NN_SOFTMAX_S8_BUFFER(length) (length)

/** Direct convolution, one multiply-accumulate at a time. Any shape; ignores col_buffer. */
int32_t m7nn_conv_s8_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                           const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                           int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                           int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                           const int32_t *shift, int32_t in_offset, int32_t out_offset,
                           int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                           int32_t out_y, int16_t *col_buffer);

/** im2col of two pixels with the offset added, 2x2 product. Any shape. */
int32_t m7nn_conv_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                     const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                     int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                     const int32_t *bias, const int32_t *multiplier, const int32_t *shift,
                     int32_t in_offset, int32_t out_offset, int32_t clamp_min, int32_t clamp_max,
                     int8_t *out, int32_t out_x, int32_t out_y, int16_t *col_buffer);

/** Pointwise: both operands are expanded in registers, the offset enters by the sum of each row
 *  of weights. Needs a 1x1 kernel, stride 1, pad 0, out sizes equal to in sizes; no buffer. */
int32_t m7nn_conv_1x1_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                         const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                         int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                         int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                         const int32_t *shift, int32_t in_offset, int32_t out_offset,
                         int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                         int32_t out_y, int16_t *col_buffer);

/** Depthwise, out_ch a multiple of in_ch: output channel c reads input channel
 *  c / (out_ch / in_ch). No depthwise kernel uses col_buffer. */
int32_t m7nn_depthwise_s8_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                                const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                                int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                                int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                                const int32_t *shift, int32_t in_offset, int32_t out_offset,
                                int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                                int32_t out_y, int16_t *col_buffer);

/** Four channels per step, one tap each, no im2col. Needs out_ch == in_ch. */
int32_t m7nn_depthwise_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                          const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                          int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                          int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                          const int32_t *shift, int32_t in_offset, int32_t out_offset,
                          int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                          int32_t out_y, int16_t *col_buffer);

/** The same with the nine taps written out for pixels whose window is inside the image. Needs a
 *  3x3 kernel and out_ch == in_ch. */
int32_t m7nn_depthwise_3x3_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                              const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                              int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                              int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                              const int32_t *shift, int32_t in_offset, int32_t out_offset,
                              int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                              int32_t out_y, int16_t *col_buffer);

/** Four output channels of one input channel per step. Needs out_ch a multiple of 4 * in_ch. */
int32_t m7nn_depthwise_multi_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                                const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                                int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                                int32_t stride_y, const int32_t *bias, const int32_t *multiplier,
                                const int32_t *shift, int32_t in_offset, int32_t out_offset,
                                int32_t clamp_min, int32_t clamp_max, int8_t *out, int32_t out_x,
                                int32_t out_y, int16_t *col_buffer);

/** Fully connected; weights [out_len][in_len], one multiplier and shift for all outputs. */
int32_t m7nn_fc_s8_naive(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                         const int32_t *bias, int32_t multiplier, int32_t shift,
                         int32_t in_offset, int32_t out_offset, int32_t clamp_min,
                         int32_t clamp_max, int8_t *out);

/** Two rows at a time, 16 columns per step; no buffer. */
int32_t m7nn_fc_s8(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                   const int32_t *bias, int32_t multiplier, int32_t shift, int32_t in_offset,
                   int32_t out_offset, int32_t clamp_min, int32_t clamp_max, int8_t *out);

/*
 * Pooling; in is left as it is. Windows are clipped to the image. An average is the sum divided by
 * the number of elements inside the image, to nearest, midpoints away from zero.
 * M7NN_BAD_SHAPE: a size or stride below 1, a negative pad, a window without a pixel.
 */
int32_t m7nn_max_pool_s8_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                               int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                               int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                               int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y);

/** Per output pixel: the first tap is copied, the others compared and replaced by words, byte by
 *  byte as compilers do; a second pass clamps. */
int32_t m7nn_max_pool_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                         int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                         int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                         int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y);

/** The same with SSUB8 and SEL: four maxima in two instructions, all taps in one register. */
int32_t m7nn_max_pool_s8_sel(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                             int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                             int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                             int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y);

int32_t m7nn_ave_pool_s8_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                               int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                               int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                               int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y);

/** Four channels at a time: 16-bit sums of up to 256 taps, 32-bit sums of those. */
int32_t m7nn_ave_pool_s8(const int8_t *in, int32_t in_x, int32_t in_y, int32_t ch,
                         int32_t kernel_x, int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                         int32_t stride_x, int32_t stride_y, int32_t clamp_min,
                         int32_t clamp_max, int8_t *out, int32_t out_x, int32_t out_y);

/*
 * out = clamp(scaled(a + b, out_multiplier, out_shift) + out_offset), where
 * a = scaled((in + in_offset) << left_shift, in_multiplier, in_shift), and b likewise of in2.
 * Shifts are -31 to 0, left_shift is 0 to 20. out may be in or in2; any length from 0.
 */
void m7nn_add_s8_naive(const int8_t *in, const int8_t *in2, int32_t length, int32_t in_offset,
                       int32_t in_multiplier, int32_t in_shift, int32_t in2_offset,
                       int32_t in2_multiplier, int32_t in2_shift, int32_t left_shift,
                       int32_t out_offset, int32_t out_multiplier, int32_t out_shift,
                       int32_t clamp_min, int32_t clamp_max, int8_t *out);
void m7nn_add_s8(const int8_t *in, const int8_t *in2, int32_t length, int32_t in_offset,
                 int32_t in_multiplier, int32_t in_shift, int32_t in2_offset,
                 int32_t in2_multiplier, int32_t in2_shift, int32_t left_shift,
                 int32_t out_offset, int32_t out_multiplier, int32_t out_shift,
                 int32_t clamp_min, int32_t clamp_max, int8_t *out);

/** data[i] = min(max(data[i], clamp_min), clamp_max), in place; a rectifier has its zero point as
 *  clamp_min. Any length from 0. */
void m7nn_relu_s8_naive(int8_t *data, int32_t length, int32_t clamp_min, int32_t clamp_max);
void m7nn_relu_s8(int8_t *data, int32_t length, int32_t clamp_min, int32_t clamp_max);

/*
 * Softmax of each of `rows` vectors of `length` elements in fixed point.
 *
 * Differences d to the largest input, times multiplier * 2^(shift - 31), are exponents with 26
 * fraction bits; d below diff_min gives the smallest output. out = 256 * probability - 128.
 * buffer: int32 [M7NN_SOFTMAX_S8_BUFFER(length)], unused by the naive form.
 */
void m7nn_softmax_s8_naive(const int8_t *in, int32_t rows, int32_t length, int32_t multiplier,
                           int32_t shift, int32_t diff_min, int8_t *out, int32_t *buffer);
void m7nn_softmax_s8(const int8_t *in, int32_t rows, int32_t length, int32_t multiplier,
                     int32_t shift, int32_t diff_min, int8_t *out, int32_t *buffer);

#ifdef __cplusplus
}
#endif

#endif /* M7NN_S8_H */
