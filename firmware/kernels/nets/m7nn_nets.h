/* Kernels that single networks need, beside the operations of m7nn.h and m7nn_s8.h. */
#ifndef M7NN_NETS_H
#define M7NN_NETS_H

#include <stdint.h>

/**
 * out[c] = saturate8((sum over pixels of in[p][c] << left_shift) / pixels), toward zero.
 *
 * The average that ends the published q7 DS-CNN: one division per channel, with more fraction bits
 * than the inputs have. Any size from 1; sums stay within 32 bits up to 65536 pixels.
 */
void m7nn_mean(const int8_t *in, int32_t pixels, int32_t ch, int32_t left_shift, int8_t *out);

/**
 * Mean over the middle of three axes [outer][reduced][inner], to another scale and offset:
 *
 *   out[o][i] = saturate8(scaled(sum over r of (in[o][r][i] + in_offset)) + out_offset)
 *
 * scaled() is that of m7nn_s8.h, with the division by `reduced` in multiplier and shift, which is 0
 * or below. Sums stay below 2^30.
 */
void m7nn_mean_s8(const int8_t *in, int32_t outer, int32_t reduced, int32_t inner,
                  int32_t in_offset, int32_t multiplier, int32_t shift, int32_t out_offset,
                  int8_t *out);

/** Four axes in another order: out[a][b][c][d] = in[a*step0 + b*step1 + c*step2 + d*step3]. */
void m7nn_transpose(const int8_t *in, int32_t size0, int32_t size1, int32_t size2, int32_t size3,
                    int32_t step0, int32_t step1, int32_t step2, int32_t step3, int8_t *out);

#endif /* M7NN_NETS_H */
