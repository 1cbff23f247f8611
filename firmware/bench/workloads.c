/*
 * Workloads of tools/bench: one function each, void bench_<name>(int32_t repeat), so that one call
 * executes as many instructions as the measurement wants.
 */
#include "m7nn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 16
#define CH 32

static int8_t image[SIDE * SIDE * CH], copy[SIDE * SIDE * CH], out[SIDE * SIDE * CH];
static int8_t weights[CH * CH * 9], bias[CH];
static int16_t buffer[2 * 9 * CH];

/* Left for a debugger or a test to look at, so that nothing is optimised away. */
volatile uint32_t bench_sink;

static uint32_t random_state = 1u;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state;
}

static void fill(void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)data)[i] = (uint8_t)(next_random() >> 24);
}

void bench_conv3x3(int32_t repeat)
{
    fill(image, sizeof image);
    fill(weights, sizeof weights);
    for (int32_t n = 0; n < repeat; n++)
        m7nn_conv_fast(image, SIDE, SIDE, CH, weights, CH, 3, 3, 1, 1, 1, 1, bias, 0, 9, out, SIDE,
                       SIDE, buffer);
}

void bench_conv1x1(int32_t repeat)
{
    fill(image, sizeof image);
    fill(weights, sizeof weights);
    for (int32_t n = 0; n < repeat; n++)
        m7nn_conv_1x1(image, SIDE, SIDE, CH, weights, CH, 1, 1, 0, 0, 1, 1, bias, 0, 9, out, SIDE,
                      SIDE, buffer);
}

void bench_fc(int32_t repeat)
{
    fill(weights, sizeof weights);
    for (int32_t n = 0; n < repeat; n++)
        m7nn_fc_x4(image, weights, 9 * CH, CH, bias, 0, 9, out, buffer);
}

void bench_depthwise(int32_t repeat)
{
    fill(image, sizeof image);
    for (int32_t n = 0; n < repeat; n++)
        m7nn_depthwise(image, SIDE, SIDE, CH, weights, CH, 3, 3, 1, 1, 1, 1, bias, 0, 7, out, SIDE,
                       SIDE, buffer);
}

void bench_max_pool(int32_t repeat)
{
    fill(image, sizeof image);
    for (int32_t n = 0; n < repeat; n++) {
        memcpy(copy, image, sizeof image);
        m7nn_max_pool(copy, SIDE, SIDE, CH, 3, 3, 0, 0, 2, 2, out, SIDE / 2, SIDE / 2, buffer);
    }
}

void bench_float_dot(int32_t repeat)
{
    static float a[512], b[512];
    float sum = 0.0f;
    for (int i = 0; i < 512; i++)
        a[i] = b[i] = (float)i * 0.01f;
    for (int32_t n = 0; n < repeat; n++)
        for (int i = 0; i < 512; i++)
            sum += a[i] * b[i];
    bench_sink = (uint32_t)(int32_t)sum;
}

void bench_memcpy(int32_t repeat)
{
    for (int32_t n = 0; n < repeat; n++) {
        memcpy(copy, image, sizeof image);
        __asm__ volatile("" ::: "memory");
    }
}

void bench_table_lookup(int32_t repeat)
{
    static uint32_t table[256];
    uint32_t a = 1, b = 2, c = 3, d = 4;
    for (int i = 0; i < 256; i++)
        table[i] = next_random();
    for (int32_t n = 0; n < repeat; n++) {
        uint32_t e = table[a & 255] ^ table[(b >> 8) & 255] ^ table[(c >> 16) & 255] ^ table[d >> 24];
        uint32_t f = table[b & 255] ^ table[(c >> 8) & 255] ^ table[(d >> 16) & 255] ^ table[a >> 24];
        c = table[c & 255] ^ table[(d >> 8) & 255] ^ table[(a >> 16) & 255] ^ table[b >> 24];
        d = e + f;
        a = e;
        b = f;
    }
    bench_sink = a ^ b ^ c ^ d;
}

void bench_list_chase(int32_t repeat)
{
    struct node {
        struct node *next;
        uint32_t value;
    };
    static struct node nodes[512];
    for (int i = 0; i < 512; i++) {
        nodes[i].next = &nodes[(i * 167 + 1) & 511];
        nodes[i].value = (uint32_t)i;
    }
    const struct node *at = nodes;
    uint32_t sum = 0;
    for (int32_t n = 0; n < repeat; n++) {
        sum += at->value;
        at = at->next;
    }
    bench_sink = sum;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void bench_qsort(int32_t repeat)
{
    static uint32_t data[256];
    for (int32_t n = 0; n < repeat; n++) {
        for (int i = 0; i < 256; i++)
            data[i] = next_random();
        qsort(data, 256, sizeof data[0], ascending);
    }
}

void bench_state_machine(int32_t repeat)
{
    uint32_t state = 0, counts[4] = {0, 0, 0, 0};
    for (int32_t n = 0; n < repeat; n++) {
        uint32_t event = next_random() >> 29;
        switch (state) {
        case 0: state = event < 3 ? 1 : event == 7 ? 2 : 0; break;
        case 1: state = event & 1 ? 3 : 2; break;
        case 2: state = event > 4 ? 0 : event > 1 ? 3 : 1; break;
        default: state = event == 5 ? 1 : 0; break;
        }
        if (event & 4)
            counts[state]++;
        else
            counts[0] += state;
    }
    bench_sink = counts[0] ^ counts[1] ^ counts[2] ^ counts[3];
}

void bench_printf(int32_t repeat)
{
    char text[64];
    for (int32_t n = 0; n < repeat; n++)
        bench_sink += (uint32_t)snprintf(text, sizeof text, "%ld %08lx %.5f", (long)n,
                                         (unsigned long)next_random(), (double)n * 0.1);
}
