#include "direct.h"

static int8_t finish(int32_t sum, direct_scale scale)
{
  int32_t value = sum >> scale.out_shift;
  return (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
}

static int32_t start(int32_t bias, direct_scale scale)
{
  int32_t half = scale.out_shift > 0 ? (int32_t)1 << (scale.out_shift - 1) : 0;
  return (int32_t)((uint32_t)bias << scale.bias_shift) + half;
}

int direct_conv(int8_t *dst, const direct_image *to, const int8_t *src, const direct_image *from,
                const direct_window *window, const int8_t *kernel, const int32_t *bias,
                direct_scale scale, int32_t *sums)
{
  const int outputs = to->channels, inputs = from->channels;
  for (int row = 0; row < to->rows; row++) {
    for (int column = 0; column < to->columns; column++) {
      for (int c = 0; c < outputs; c++) {
        sums[c] = start(bias[c], scale);
      }
      for (int v = 0; v < window->rows; v++) {
        const int y = row * window->row_step - window->top + v;
        if (y < 0 || y >= from->rows) {
          continue;
        }
        for (int u = 0; u < window->columns; u++) {
          const int x = column * window->column_step - window->left + u;
          if (x < 0 || x >= from->columns) {
            continue;
          }
          const int8_t *pixel = src + (y * from->columns + x) * inputs;
          const int8_t *taps = kernel + (v * window->columns + u) * inputs * outputs;
          for (int i = 0; i < inputs; i++) {
            const int32_t value = pixel[i];
            for (int c = 0; c < outputs; c++) {
              sums[c] += value * *taps++;
            }
          }
        }
      }
      for (int c = 0; c < outputs; c++) {
        *dst++ = finish(sums[c], scale);
      }
    }
  }
  return to->rows * to->columns;
}

void direct_dense(const direct_layer *layer, const int8_t *x, int8_t *y)
{
  const uint32_t outputs = layer->outputs;
  uint32_t c = 0;
  for (; c + 4 <= outputs; c += 4) {
    const int16_t *weights = layer->weights + c;
    int32_t a = start(layer->bias[c], layer->scale), b = start(layer->bias[c + 1], layer->scale);
    int32_t d = start(layer->bias[c + 2], layer->scale);
    int32_t e = start(layer->bias[c + 3], layer->scale);
    for (uint32_t i = 0; i < layer->inputs; i++, weights += outputs) {
      const int32_t value = x[i];
      a += value * weights[0];
      b += value * weights[1];
      d += value * weights[2];
      e += value * weights[3];
    }
    y[c] = finish(a, layer->scale);
    y[c + 1] = finish(b, layer->scale);
    y[c + 2] = finish(d, layer->scale);
    y[c + 3] = finish(e, layer->scale);
  }
  for (; c < outputs; c++) {
    int32_t sum = start(layer->bias[c], layer->scale);
    for (uint32_t i = 0; i < layer->inputs; i++) {
      sum += x[i] * layer->weights[i * outputs + c];
    }
    y[c] = finish(sum, layer->scale);
  }
}
