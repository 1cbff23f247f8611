/*
 * Recurrent layers of m7nn: LSTM, LSTM with peepholes and projection, and GRU, over a sequence.
 *
 * Activations and weights are int8. A gate is a row of weights times the input vector joined with
 * the last output, as a fixed-point number of 16 bits with 12 behind the point (range +-8):
 *
 *     gate = saturate16(((bias << bias_shift) + half + sum(weight * joined)) >> out_shift)
 *
 * Sigmoid and tanh are tables of 257 entries, 1/16 apart, with linear interpolation; their values
 * have 15 bits behind the point. Products are rounded to nearest, and everything saturates.
 *
 *     LSTM   rows i, g, f, o      c = sigmoid(f) c + sigmoid(i) tanh(g)         c: 12 bits
 *                                 h = sigmoid(o) tanh(c)                        h: int8, 7 bits
 *     GRU    rows r, z, n         n is of [x, sigmoid(r) h], with that product rounded to int8
 *                                 h = sigmoid(z) h + (1 - sigmoid(z)) tanh(n)   h: 15 bits
 *                                 output: h rounded to int8, 7 bits
 *
 * The projected LSTM adds (weight * c) >> peephole_shift to i and f (c before) and o (c after), in
 * this order of the peepholes, and multiplies h by a matrix without bias, shifted right by
 * projection_shift with rounding: that is the output, and what is joined.
 *
 * States and outputs begin at zero with every call.
 *
 *   in       int8 [frames][in_len]
 *   weights  int8 [4 or 3 * cells][in_len + out_len], where out_len is cells without projection
 *   bias     int8 [4 or 3 * cells]
 *   out      int8 [out_frames][out_len]: all outputs (out_frames == frames) or the last (1)
 *   buffer   int16, sizes below; both forms use it
 *
 * Each has a naive form (plain C) with the same signature and equal results. They return M7NN_OK, or
 * M7NN_BAD_SHAPE for a size below 1, a shift outside 0 to 31, or out_frames neither 1 nor frames.
 */
#ifndef M7NN_RECURRENT_H
#define M7NN_RECURRENT_H

#include <stdint.h>

#include "m7nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of the buffers, in int16_t elements; every part of one begins at a word. */
#define M7NN_EVEN(count) (((count) + 1) / 2 * 2)
#define M7NN_JOINED_BUFFER(length) (M7NN_EVEN(((length) + 1) / 2) + M7NN_EVEN(length))
#define M7NN_LSTM_BUFFER(in_len, cells) \
    (M7NN_JOINED_BUFFER((in_len) + (cells)) + 4 * (cells) + M7NN_EVEN(cells))
#define M7NN_GRU_BUFFER(in_len, cells) \
    (M7NN_JOINED_BUFFER((in_len) + (cells)) + M7NN_EVEN(3 * (cells)) + M7NN_EVEN(cells))
#define M7NN_LSTM_PROJECTED_BUFFER(in_len, cells, out_len)                                    \
    (M7NN_JOINED_BUFFER((in_len) + (out_len)) + 4 * (cells) + M7NN_EVEN(cells) +              \
     M7NN_JOINED_BUFFER(cells) + M7NN_EVEN(out_len))

/** Four rows at a time, plain order; the joined vector is expanded once per frame. */
int32_t m7nn_lstm(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                  const int8_t *weights, const int8_t *bias, int32_t bias_shift,
                  int32_t out_shift, int8_t *out, int32_t out_frames, int16_t *buffer);
int32_t m7nn_lstm_naive(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                        const int8_t *weights, const int8_t *bias, int32_t bias_shift,
                        int32_t out_shift, int8_t *out, int32_t out_frames, int16_t *buffer);

/** peepholes: int8 [3][cells], i, f, o. projection: int8 [out_len][cells]. */
int32_t m7nn_lstm_projected(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                            int32_t out_len, const int8_t *weights, const int8_t *bias,
                            int32_t bias_shift, int32_t out_shift, const int8_t *peepholes,
                            int32_t peephole_shift, const int8_t *projection,
                            int32_t projection_shift, int8_t *out, int32_t out_frames,
                            int16_t *buffer);
int32_t m7nn_lstm_projected_naive(const int8_t *in, int32_t frames, int32_t in_len,
                                  int32_t cells, int32_t out_len, const int8_t *weights,
                                  const int8_t *bias, int32_t bias_shift, int32_t out_shift,
                                  const int8_t *peepholes, int32_t peephole_shift,
                                  const int8_t *projection, int32_t projection_shift,
                                  int8_t *out, int32_t out_frames, int16_t *buffer);

int32_t m7nn_gru(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                 const int8_t *weights, const int8_t *bias, int32_t bias_shift,
                 int32_t out_shift, int8_t *out, int32_t out_frames, int16_t *buffer);
int32_t m7nn_gru_naive(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                       const int8_t *weights, const int8_t *bias, int32_t bias_shift,
                       int32_t out_shift, int8_t *out, int32_t out_frames, int16_t *buffer);

/** Values at -8, -8 + 1/16, ... 8; round(value * 32768), at most 32767. */
extern const int16_t m7nn_sigmoid_table[257];
extern const int16_t m7nn_tanh_table[257];

#ifdef __cplusplus
}
#endif

#endif /* M7NN_RECURRENT_H */
