/*
 * direct: a second small kernel library, unlike m7nn in all that a caller sees: output first,
 * sizes in structs, weights with the output channel innermost, 16-bit dense weights, 32-bit biases.
 * It computes the same numbers. direct.toml tells m7sim how to call it.
 */
#ifndef DIRECT_H
#define DIRECT_H

#include <stdint.h>

typedef struct {
  uint16_t rows, columns, channels;
} direct_image;

typedef struct {
  uint8_t rows, columns; /* of the window */
  uint8_t row_step, column_step;
  uint8_t top, left; /* zeros in front */
} direct_window;

typedef struct {
  int8_t bias_shift, out_shift;
} direct_scale;

/*
 * Convolution, output pixel by output pixel, all its channels at once.
 *   dst      int8 [to->rows][to->columns][to->channels]
 *   kernel   int8 [window->rows][window->columns][from->channels][to->channels]
 *   sums     int32 [to->channels], scratch
 * Returns the number of output pixels.
 */
int direct_conv(int8_t *dst, const direct_image *to, const int8_t *src, const direct_image *from,
                const direct_window *window, const int8_t *kernel, const int32_t *bias,
                direct_scale scale, int32_t *sums);

typedef struct {
  uint32_t inputs, outputs;
  const int16_t *weights; /* [inputs][outputs] */
  const int32_t *bias;
  direct_scale scale;
} direct_layer;

/* Fully connected layer, four outputs at a time. */
void direct_dense(const direct_layer *layer, const int8_t *x, int8_t *y);

#endif
