/*
 * m7nn: integer neural-network kernels for Cortex-M7 (Armv7E-M with DSP instructions).
 *
 * Numbers are 8-bit two's complement with one power-of-two scale per layer:
 *
 *     accumulator = (bias << bias_shift) + half + sum(input * weight)     32 bits, wrapping
 *     output      = saturate to [-128, 127] of (accumulator >> out_shift) arithmetic shift
 *     half        = out_shift > 0 ? 1 << (out_shift - 1) : 0
 *
 * Both shifts are 0 to 31. Activations are HWC: element (y, x, channel) lies at
 * (y * size_x + x) * channels + channel. Pointers need no alignment beyond that of their type.
 *
 * Every kernel has two forms with one signature and equal results:
 *   m7nn_<op>_naive   plain C, one element at a time; ignores its buffer (may be NULL);
 *   m7nn_<op>         the optimised form with SIMD-in-register instructions.
 * m7nn_conv_naive is the naive form of basic, fast, rgb and 1x1: these four compute the same.
 *
 * Kernels that can refuse a shape return M7NN_OK or M7NN_BAD_SHAPE, and then write nothing.
 */
#ifndef M7NN_H
#define M7NN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define M7NN_OK 0
#define M7NN_BAD_SHAPE (-1)

/* Sizes of the scratch buffers, in int16_t elements. */
#define M7NN_CONV_BUFFER(kernel_x, kernel_y, in_ch) (2 * (kernel_x) * (kernel_y) * (in_ch))
#define M7NN_DEPTHWISE_BUFFER(kernel_x, kernel_y, ch) (((kernel_x) * (kernel_y) * (ch) + 1) / 2)
#define M7NN_FC_BUFFER(in_len) (in_len)
#define M7NN_AVE_POOL_BUFFER(out_x, ch) ((out_x) * (ch))

/*
 * 2-D convolution. All forms take the same arguments:
 *
 *   in          int8 [in_y][in_x][in_ch]
 *   weights     int8 [out_ch][kernel_y][kernel_x][in_ch]
 *   pad_x/y     zeros in front of the first column / row; as many as needed stand behind the last
 *   bias        int8 [out_ch]
 *   out         int8 [out_y][out_x][out_ch]
 *   col_buffer  int16 [M7NN_CONV_BUFFER(kernel_x, kernel_y, in_ch)]
 *
 * Returns M7NN_BAD_SHAPE for: a size, stride or channel count below 1; a negative pad; a shift
 * outside 0 to 31; and where a form says so.
 */

/** Direct convolution, one multiply-accumulate at a time. Any shape. */
int32_t m7nn_conv_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                        const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                        int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                        const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                        int32_t out_x, int32_t out_y, int16_t *col_buffer);

/** im2col of two pixels, in-order 2x2 matrix product. Any shape. */
int32_t m7nn_conv_basic(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                        const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                        int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                        const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                        int32_t out_x, int32_t out_y, int16_t *col_buffer);

/** Reordered 2x2 product; the middle of the image expands whole kernel rows at once.
 *  Needs in_ch % 4 == 0 and out_ch % 2 == 0. */
int32_t m7nn_conv_fast(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                       const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                       int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                       const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                       int32_t out_x, int32_t out_y, int16_t *col_buffer);

/** First layer of a colour image: one word load per pixel, in-order product. Needs in_ch == 3. */
int32_t m7nn_conv_rgb(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                      const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                      int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                      const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                      int32_t out_x, int32_t out_y, int16_t *col_buffer);

/** Pointwise: no im2col, only the expansion of two pixels. Needs a 1x1 kernel, stride 1, pad 0,
 *  out sizes equal to in sizes, in_ch % 4 == 0 and out_ch % 2 == 0. */
int32_t m7nn_conv_1x1(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                      const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                      int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                      const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                      int32_t out_x, int32_t out_y, int16_t *col_buffer);

/*
 * Depthwise convolution (channel multiplier 1): arguments as above, with
 *   weights     int8 [kernel_y][kernel_x][ch]
 *   out_ch      == in_ch, else M7NN_BAD_SHAPE
 *   col_buffer  int16 [M7NN_DEPTHWISE_BUFFER(kernel_x, kernel_y, ch)] (holds an int8 column)
 */
int32_t m7nn_depthwise_naive(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                             const int8_t *weights, int32_t out_ch, int32_t kernel_x,
                             int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                             int32_t stride_y, const int8_t *bias, int32_t bias_shift,
                             int32_t out_shift, int8_t *out, int32_t out_x, int32_t out_y,
                             int16_t *col_buffer);

/** int8 column per pixel, 4 channels x 2 taps per step; any shape with out_ch == in_ch. */
int32_t m7nn_depthwise(const int8_t *in, int32_t in_x, int32_t in_y, int32_t in_ch,
                       const int8_t *weights, int32_t out_ch, int32_t kernel_x, int32_t kernel_y,
                       int32_t pad_x, int32_t pad_y, int32_t stride_x, int32_t stride_y,
                       const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                       int32_t out_x, int32_t out_y, int16_t *col_buffer);

/*
 * Fully connected: out[row] = bias[row] + sum over columns of weights[row][column] * in[column].
 *
 *   in          int8 [in_len]
 *   weights     int8 [out_len][in_len] row by row; x4: groups of four rows interleaved (below)
 *   bias, out   int8 [out_len]
 *   vec_buffer  int16 [M7NN_FC_BUFFER(in_len)]
 *
 * x4 order: for each group of 4 rows and each 4 columns, 16 bytes (r = row, c = column)
 *   r1c1 r2c1 r1c3 r2c3   r3c1 r4c1 r3c3 r4c3   r1c2 r2c2 r1c4 r2c4   r3c2 r4c2 r3c4 r4c4
 * then the 0 to 3 left-over columns, column by column, each with its 4 rows; then the 0 to 3
 * left-over rows, plain.
 */
int32_t m7nn_fc_naive(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                      const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                      int16_t *vec_buffer);

/** Two rows at a time on the expanded vector. Any lengths. */
int32_t m7nn_fc(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                int16_t *vec_buffer);

int32_t m7nn_fc_x4_naive(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                         const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                         int16_t *vec_buffer);

/** Four rows at a time on x4-interleaved weights. Any lengths. */
int32_t m7nn_fc_x4(const int8_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                   const int8_t *bias, int32_t bias_shift, int32_t out_shift, int8_t *out,
                   int16_t *vec_buffer);

/*
 * Fully connected on 16-bit activations with 8-bit weights: as above, but saturated to 16 bits.
 * No buffer, and its own x4 order, as the activations need no expansion: for each group of 4 rows
 * and each 2 columns, 8 bytes
 *   r1c1 r2c1 r1c2 r2c2   r3c1 r4c1 r3c2 r4c2
 * then the left-over column with its 4 rows; then the 0 to 3 left-over rows, plain.
 */
int32_t m7nn_fc_q15_naive(const int16_t *in, const int8_t *weights, int32_t in_len,
                          int32_t out_len, const int8_t *bias, int32_t bias_shift,
                          int32_t out_shift, int16_t *out);

/** Two rows at a time; the activations are paired as SXTB16 pairs the weights. */
int32_t m7nn_fc_q15(const int16_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                    const int8_t *bias, int32_t bias_shift, int32_t out_shift, int16_t *out);

/** Four rows at a time on x4-interleaved weights. */
int32_t m7nn_fc_q15_x4(const int16_t *in, const int8_t *weights, int32_t in_len, int32_t out_len,
                       const int8_t *bias, int32_t bias_shift, int32_t out_shift, int16_t *out);

/*
 * Pooling, along x and then along y.
 *
 *   in      int8 [in_y][in_x][ch]; the optimised forms OVERWRITE it (they pool along x in place)
 *   out     int8 [out_y][out_x][ch], apart from in
 *   buffer  average: int16 [M7NN_AVE_POOL_BUFFER(out_x, ch)]; maximum: unused, may be NULL
 *
 * Windows are clipped to the image (padding is not counted, the last window of a row may be
 * short). An average divides twice, each time by the number of elements inside the image, and
 * each time truncates toward zero: first along x to int8, then along y.
 * M7NN_BAD_SHAPE: a size or stride below 1; a negative pad; a window without a pixel of the image;
 * average: a kernel side above 256; optimised forms: pad_x >= stride_x (with wider padding a
 * window along x would read pixels that an earlier one has overwritten).
 */
int32_t m7nn_max_pool_naive(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                            int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                            int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                            int16_t *buffer);

/** Compares and replaces words byte by byte: no multiply, four conditional moves per word. */
int32_t m7nn_max_pool(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                      int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                      int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                      int16_t *buffer);

/** The same with SSUB8 and SEL: four maxima in two instructions instead of about twenty. */
int32_t m7nn_max_pool_sel(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                          int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                          int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                          int16_t *buffer);

int32_t m7nn_ave_pool_naive(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                            int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                            int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                            int16_t *buffer);

/** 16-bit sums with QADD16, one division per element in each pass. */
int32_t m7nn_ave_pool(int8_t *in, int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                      int32_t kernel_y, int32_t pad_x, int32_t pad_y, int32_t stride_x,
                      int32_t stride_y, int8_t *out, int32_t out_x, int32_t out_y,
                      int16_t *buffer);

/** data[i] = max(data[i], 0), in place; any length from 0. */
void m7nn_relu_naive(int8_t *data, int32_t length);

/** Four elements per word: sign mask by QSUB8, cleared with BIC. */
void m7nn_relu(int8_t *data, int32_t length);

/** out[i] = saturate8(in[i] + in2[i]); out may be in or in2; any length from 0. */
void m7nn_add_naive(const int8_t *in, const int8_t *in2, int32_t length, int8_t *out);

/** Four elements per word: QADD8. */
void m7nn_add(const int8_t *in, const int8_t *in2, int32_t length, int8_t *out);

/*
 * Softmax with powers of two in place of exponentials, to Q7 (127 stands for 1).
 *
 *   base   = max(in) - 8
 *   sum    = sum of 1 << (in[i] - base) over in[i] > base
 *   scale  = 0x100000 / sum                                         (the one division)
 *   out[i] = in[i] > base ? saturate8(scale >> (13 + base - in[i])) : 0
 *
 * Any length from 0; out may be in.
 */
void m7nn_softmax_naive(const int8_t *in, int32_t length, int8_t *out);
void m7nn_softmax(const int8_t *in, int32_t length, int8_t *out);

#ifdef __cplusplus
}
#endif

#endif /* M7NN_H */
