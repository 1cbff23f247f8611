/* As kernels_main.c, for the int8 family and for the kernels with 16-bit activations. */
#include "m7nn.h"
#include "m7nn_s8.h"
#include <stdio.h>
#include <string.h>

#define IN_X 9
#define IN_Y 7
#define MAX_CH 8
#define MAX_OUT 16

static int8_t in[IN_X * IN_Y * MAX_CH], in2[sizeof in], weights[4096], out[4096];
static int16_t wide[256], buffer[4096];
static int32_t bias[MAX_OUT], multiplier[MAX_OUT], shift[MAX_OUT], exponentials[64];
static uint32_t seed = 54321u;

static uint32_t next(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed;
}

static void fill(int8_t *data, int count)
{
    for (int i = 0; i < count; i++)
        data[i] = (int8_t)(next() >> 24);
}

static void show(const char *name, int32_t status, int count)
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < count; i++)
        hash = (hash ^ (uint8_t)out[i]) * 16777619u;
    printf("%-18s %2ld %08lx\n", name, (long)status, (unsigned long)hash);
    memset(out, 0, sizeof out);
}

typedef int32_t conv_t(const int8_t *, int32_t, int32_t, int32_t, const int8_t *, int32_t, int32_t,
                       int32_t, int32_t, int32_t, int32_t, int32_t, const int32_t *,
                       const int32_t *, const int32_t *, int32_t, int32_t, int32_t, int32_t,
                       int8_t *, int32_t, int32_t, int16_t *);
typedef int32_t pool_t(const int8_t *, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t,
                       int32_t, int32_t, int32_t, int32_t, int32_t, int8_t *, int32_t, int32_t);

static void conv(const char *name, conv_t *kernel, int ch, int out_ch, int k, int pad, int stride)
{
    int out_x = (IN_X + 2 * pad - k) / stride + 1, out_y = (IN_Y + 2 * pad - k) / stride + 1;
    int32_t status = kernel(in, IN_X, IN_Y, ch, weights, out_ch, k, k, pad, pad, stride, stride,
                            bias, multiplier, shift, 7, -11, -120, 115, out, out_x, out_y, buffer);
    show(name, status, out_x * out_y * out_ch);
}

static void pool(const char *name, pool_t *kernel, int ch)
{
    int32_t status = kernel(in, IN_X, IN_Y, ch, 3, 3, 1, 1, 2, 2, -100, 90, out, 5, 4);
    show(name, status, 5 * 4 * ch);
}

int main(void)
{
    fill(in, sizeof in);
    fill(in2, sizeof in2);
    fill(weights, sizeof weights);
    for (int i = 0; i < MAX_OUT; i++) {
        bias[i] = (int32_t)(next() >> 20) - 2048;
        multiplier[i] = (int32_t)(1u << 30 | next() >> 2);
        shift[i] = -6 - (int32_t)(next() >> 30);
    }
    for (int i = 0; i < 256; i++)
        wide[i] = (int16_t)(next() >> 16);

    conv("conv_s8_naive", m7nn_conv_s8_naive, 5, 6, 3, 1, 1);
    conv("conv_s8", m7nn_conv_s8, 5, 6, 3, 1, 1);
    conv("conv_s8", m7nn_conv_s8, 8, 16, 3, 1, 2);
    conv("conv_1x1_s8", m7nn_conv_1x1_s8, 8, 6, 1, 0, 1);
    conv("depthwise_s8_naive", m7nn_depthwise_s8_naive, 8, 8, 3, 1, 1);
    conv("depthwise_s8", m7nn_depthwise_s8, 8, 8, 3, 1, 1);
    conv("depthwise_3x3_s8", m7nn_depthwise_3x3_s8, 8, 8, 3, 1, 1);
    conv("depthwise_multi_s8", m7nn_depthwise_multi_s8, 4, 16, 3, 1, 1);
    pool("max_pool_s8_naive", m7nn_max_pool_s8_naive, 7);
    pool("max_pool_s8", m7nn_max_pool_s8, 7);
    pool("max_pool_s8_sel", m7nn_max_pool_s8_sel, 7);
    pool("ave_pool_s8_naive", m7nn_ave_pool_s8_naive, 7);
    pool("ave_pool_s8", m7nn_ave_pool_s8, 7);
    show("fc_s8_naive", m7nn_fc_s8_naive(in, weights, 75, 13, bias, multiplier[0], -7, 3, 5, -128,
                                         127, out), 13);
    show("fc_s8", m7nn_fc_s8(in, weights, 75, 13, bias, multiplier[0], -7, 3, 5, -128, 127, out),
         13);
    m7nn_add_s8_naive(in, in2, 301, 9, multiplier[1], -1, -4, multiplier[2], -2, 20, 3,
                      multiplier[3], -19, -128, 127, out);
    show("add_s8_naive", 0, 301);
    m7nn_add_s8(in, in2, 301, 9, multiplier[1], -1, -4, multiplier[2], -2, 20, 3, multiplier[3],
                -19, -128, 127, out);
    show("add_s8", 0, 301);
    m7nn_softmax_s8_naive(in, 5, 12, multiplier[4], 22, -248, out, exponentials);
    show("softmax_s8_naive", 0, 60);
    m7nn_softmax_s8(in, 5, 12, multiplier[4], 22, -248, out, exponentials);
    show("softmax_s8", 0, 60);
    memcpy(out, in, 203);
    m7nn_relu_s8(out, 203, -20, 100);
    show("relu_s8", 0, 203);
    m7nn_add(in, in2, 303, out);
    show("add", 0, 303);
    show("fc_q15", m7nn_fc_q15(wide, weights, 75, 13, weights + 4000, 2, 12, (void *)out), 26);
    return 0;
}
