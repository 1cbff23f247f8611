/* Runs every NN kernel on seeded data and prints a hash of each output: the same program must
 * print the same lines wherever it runs. */
#include "m7nn.h"
#include <stdio.h>
#include <string.h>

#define IN_X 9
#define IN_Y 7
#define OUT_CH 6
#define MAX_CH 8
#define K 3

static int8_t in[IN_X * IN_Y * MAX_CH], copy[sizeof in], weights[4096], bias[16], out[4096];
static int16_t buffer[4096];
static uint32_t seed = 12345u;

static void fill(int8_t *data, int count)
{
    for (int i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (int8_t)(seed >> 24);
    }
}

static void show(const char *name, int32_t status, const int8_t *data, int count)
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < count; i++)
        hash = (hash ^ (uint8_t)data[i]) * 16777619u;
    printf("%-16s %2ld %08lx\n", name, (long)status, (unsigned long)hash);
}

typedef int32_t conv_t(const int8_t *, int32_t, int32_t, int32_t, const int8_t *, int32_t, int32_t,
                       int32_t, int32_t, int32_t, int32_t, int32_t, const int8_t *, int32_t, int32_t,
                       int8_t *, int32_t, int32_t, int16_t *);
typedef int32_t fc_t(const int8_t *, const int8_t *, int32_t, int32_t, const int8_t *, int32_t,
                     int32_t, int8_t *, int16_t *);
typedef int32_t pool_t(int8_t *, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t,
                       int32_t, int32_t, int8_t *, int32_t, int32_t, int16_t *);

static void conv(const char *name, conv_t *kernel, int ch, int out_ch, int k, int pad, int stride)
{
    int out_x = (IN_X + 2 * pad - k) / stride + 1, out_y = (IN_Y + 2 * pad - k) / stride + 1;
    memset(out, 0, sizeof out);
    int32_t status = kernel(in, IN_X, IN_Y, ch, weights, out_ch, k, k, pad, pad, stride, stride,
                            bias, 3, 8, out, out_x, out_y, buffer);
    show(name, status, out, out_x * out_y * out_ch);
}

static void fc(const char *name, fc_t *kernel, int length, int rows)
{
    memset(out, 0, sizeof out);
    int32_t status = kernel(in, weights, length, rows, bias, 2, 7, out, buffer);
    show(name, status, out, rows);
}

static void pool(const char *name, pool_t *kernel, int ch)
{
    memcpy(copy, in, sizeof in);
    memset(out, 0, sizeof out);
    int32_t status =
        kernel(copy, IN_X, IN_Y, ch, 3, 3, 0, 0, 2, 2, out, (IN_X - 2) / 2 + 1, (IN_Y - 2) / 2 + 1, buffer);
    show(name, status, out, ((IN_X - 2) / 2 + 1) * ((IN_Y - 2) / 2 + 1) * ch);
}

int main(void)
{
    fill(in, sizeof in);
    fill(weights, sizeof weights);
    fill(bias, sizeof bias);
    conv("conv_naive", m7nn_conv_naive, 8, OUT_CH, K, 1, 1);
    conv("conv_basic", m7nn_conv_basic, 5, OUT_CH, K, 1, 1);
    conv("conv_fast", m7nn_conv_fast, 8, OUT_CH, K, 1, 1);
    conv("conv_rgb", m7nn_conv_rgb, 3, OUT_CH, K, 1, 2);
    conv("conv_1x1", m7nn_conv_1x1, 8, OUT_CH, 1, 0, 1);
    conv("depthwise", m7nn_depthwise, 7, 7, K, 1, 1);
    conv("depthwise_naive", m7nn_depthwise_naive, 7, 7, K, 1, 1);
    fc("fc", m7nn_fc, 123, 10);
    fc("fc_naive", m7nn_fc_naive, 123, 10);
    fc("fc_x4", m7nn_fc_x4, 123, 10);
    fc("fc_x4_naive", m7nn_fc_x4_naive, 123, 10);
    pool("max_pool", m7nn_max_pool, 7);
    pool("max_pool_naive", m7nn_max_pool_naive, 7);
    pool("ave_pool", m7nn_ave_pool, 7);
    pool("ave_pool_naive", m7nn_ave_pool_naive, 7);
    memcpy(out, in, sizeof in);
    m7nn_relu(out, sizeof in - 1);
    show("relu", 0, out, sizeof in);
    m7nn_softmax(in, 100, out);
    show("softmax", 0, out, 100);
    return 0;
}
