/*
 * Runs every kernel in its naive and its optimised form on the same pseudo-random data, prints a
 * checksum of each result, and exits with the number of cases in which the two forms differ.
 *
 * Plain C with printf: the same program runs on m7sim, on an emulator and on a board.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "m7nn.h"

#define LARGEST 4096

typedef int32_t (*conv_function)(const int8_t *, int32_t, int32_t, int32_t, const int8_t *, int32_t,
                                 int32_t, int32_t, int32_t, int32_t, int32_t, int32_t,
                                 const int8_t *, int32_t, int32_t, int8_t *, int32_t, int32_t,
                                 int16_t *);
typedef int32_t (*fc_function)(const int8_t *, const int8_t *, int32_t, int32_t, const int8_t *,
                               int32_t, int32_t, int8_t *, int16_t *);
typedef int32_t (*pool_function)(int8_t *, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t,
                                 int32_t, int32_t, int32_t, int8_t *, int32_t, int32_t, int16_t *);

static int8_t image[LARGEST];
static int8_t copy[LARGEST];
static int8_t weights[LARGEST];
static int8_t bias[64];
static int8_t expected[LARGEST];
static int8_t actual[LARGEST];
static int16_t buffer[LARGEST];
static uint32_t random_state;
static int failures;

static void fill(int8_t *data, int32_t length)
{
    for (int32_t i = 0; i < length; i++) {
        random_state = random_state * 1664525u + 1013904223u;
        data[i] = (int8_t)(random_state >> 24);
    }
}

static void start_case(uint32_t seed)
{
    random_state = seed;
    fill(image, LARGEST);
    fill(weights, LARGEST);
    fill(bias, (int32_t)sizeof bias);
    memset(expected, 0x55, sizeof expected);
    memset(actual, 0x55, sizeof actual);
}

/** CRC-32 of the result, byte by byte; both outputs are compared whole. */
static void end_case(const char *name)
{
    uint32_t crc = 0xffffffffu;
    for (int32_t i = 0; i < LARGEST; i++) {
        crc ^= (uint8_t)actual[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
        }
    }
    int equal = memcmp(expected, actual, sizeof actual) == 0;
    failures += !equal;
    printf("%-10s %08lx %s\n", name, (unsigned long)~crc, equal ? "equal" : "DIFFERENT");
}

static void check_conv(const char *name, conv_function naive, conv_function optimised, int32_t in_y,
                       int32_t in_x, int32_t in_ch, int32_t out_ch, int32_t kernel_y,
                       int32_t kernel_x, int32_t stride, int32_t pad)
{
    int32_t out_y = (in_y + 2 * pad - kernel_y) / stride + 1;
    int32_t out_x = (in_x + 2 * pad - kernel_x) / stride + 1;
    start_case((uint32_t)(in_y * 31 + in_x * 7 + kernel_y));
    naive(image, in_x, in_y, in_ch, weights, out_ch, kernel_x, kernel_y, pad, pad, stride, stride,
          bias, 3, 8, expected, out_x, out_y, buffer);
    optimised(image, in_x, in_y, in_ch, weights, out_ch, kernel_x, kernel_y, pad, pad, stride,
              stride, bias, 3, 8, actual, out_x, out_y, buffer);
    end_case(name);
}

static void check_fc(const char *name, fc_function naive, fc_function optimised, int32_t in_len,
                     int32_t out_len)
{
    start_case((uint32_t)(in_len * 31 + out_len));
    naive(image, weights, in_len, out_len, bias, 3, 8, expected, buffer);
    optimised(image, weights, in_len, out_len, bias, 3, 8, actual, buffer);
    end_case(name);
}

static void check_pool(const char *name, pool_function naive, pool_function optimised, int32_t in_y,
                       int32_t in_x, int32_t ch, int32_t kernel, int32_t stride)
{
    int32_t out_y = (in_y - kernel + stride - 1) / stride + 1;
    int32_t out_x = (in_x - kernel + stride - 1) / stride + 1;
    start_case((uint32_t)(in_y * 31 + in_x * 7 + ch));
    memcpy(copy, image, sizeof copy);
    naive(copy, in_x, in_y, ch, kernel, kernel, 0, 0, stride, stride, expected, out_x, out_y,
          buffer);
    optimised(image, in_x, in_y, ch, kernel, kernel, 0, 0, stride, stride, actual, out_x, out_y,
              buffer);
    end_case(name);
}

static void check_vector(int32_t length)
{
    start_case((uint32_t)length);
    memcpy(expected, image, (uint32_t)length);
    memcpy(actual, image, (uint32_t)length);
    m7nn_relu_naive(expected, length);
    m7nn_relu(actual, length);
    end_case("relu");
    start_case((uint32_t)length + 1u);
    m7nn_softmax_naive(image, length, expected);
    m7nn_softmax(image, length, actual);
    end_case("softmax");
}

int main(void)
{
    check_conv("basic", m7nn_conv_naive, m7nn_conv_basic, 7, 5, 5, 7, 3, 2, 1, 1);
    check_conv("basic", m7nn_conv_naive, m7nn_conv_basic, 11, 6, 1, 8, 10, 4, 2, 4);
    check_conv("fast", m7nn_conv_naive, m7nn_conv_fast, 8, 7, 8, 6, 5, 5, 1, 2);
    check_conv("fast", m7nn_conv_naive, m7nn_conv_fast, 9, 9, 4, 8, 3, 3, 2, 1);
    check_conv("rgb", m7nn_conv_naive, m7nn_conv_rgb, 9, 8, 3, 8, 5, 5, 1, 2);
    check_conv("1x1", m7nn_conv_naive, m7nn_conv_1x1, 5, 5, 16, 12, 1, 1, 1, 0);
    check_conv("depthwise", m7nn_depthwise_naive, m7nn_depthwise, 8, 5, 16, 16, 3, 3, 1, 1);
    check_conv("depthwise", m7nn_depthwise_naive, m7nn_depthwise, 8, 8, 7, 7, 4, 3, 2, 1);
    check_fc("fc", m7nn_fc_naive, m7nn_fc, 67, 13);
    check_fc("fc x4", m7nn_fc_x4_naive, m7nn_fc_x4, 67, 14);
    check_pool("max pool", m7nn_max_pool_naive, m7nn_max_pool, 10, 8, 16, 3, 2);
    check_pool("max pool", m7nn_max_pool_naive, m7nn_max_pool, 7, 9, 5, 2, 2);
    check_pool("ave pool", m7nn_ave_pool_naive, m7nn_ave_pool, 10, 8, 16, 3, 2);
    check_pool("ave pool", m7nn_ave_pool_naive, m7nn_ave_pool, 7, 9, 5, 2, 2);
    check_vector(43);
    printf("%d different\n", failures);
    return failures;
}
