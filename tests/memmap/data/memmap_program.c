/* Functions whose cycles depend on where things lie, each in its own way. */
#include "m7nn.h"

#include <stdlib.h>
#include <string.h>

#define SIDE 12
#define CH 16

static const int8_t kernel[CH * CH * 9] = {[0 ... CH * CH * 9 - 1] = 3};
static const int8_t bias[CH] = {1, 2, 3};
static int8_t image[SIDE * SIDE * CH], result[SIDE * SIDE * CH];
static int16_t columns[2 * 9 * CH];

static const uint32_t box[4][256] = {[0 ... 3] = {[0 ... 255] = 0x9e3779b9u}};

struct node {
    struct node *next;
    uint32_t value;
};
static struct node nodes[1024]; /* 8 KiB: twice the D-cache */
static uint32_t numbers[512];
static uint32_t rows[6][1024]; /* 4 KiB each: one way of the D-cache holds a quarter of a row */
static uint32_t settings[4] = {1, 2, 3, 4};

volatile uint32_t sink;

void convolve(int32_t repeat)
{
    for (int32_t n = 0; n < repeat; n++)
        m7nn_conv_fast(image, SIDE, SIDE, CH, kernel, CH, 3, 3, 1, 1, 1, 1, bias, 0, 9, result,
                       SIDE, SIDE, columns);
}

/* An AES-like round: four dependent look-ups in a table of 4 KiB. */
void look_up(int32_t repeat)
{
    uint32_t a = 1, b = 2, c = 3, d = 4;
    for (int32_t n = 0; n < repeat; n++) {
        uint32_t e = box[0][a & 255] ^ box[1][b >> 8 & 255] ^ box[2][c >> 16 & 255] ^ box[3][d >> 24];
        d = c + settings[n & 3];
        c = b * 1664525u + 1013904223u;
        b = a ^ c;
        a = e + d;
    }
    settings[0] = sink = a;
}

void chase(int32_t repeat)
{
    for (uint32_t i = 0; i < 1024; i++) {
        nodes[i].next = &nodes[(i * 389u + 7u) & 1023u];
        nodes[i].value = i;
    }
    const struct node *at = nodes;
    uint32_t sum = 0;
    for (int32_t n = 0; n < repeat; n++) {
        sum += at->value;
        at = at->next;
    }
    sink = sum;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void sort(int32_t repeat)
{
    uint32_t state = 1;
    for (int32_t n = 0; n < repeat; n++) {
        for (int i = 0; i < 512; i++)
            numbers[i] = state = state * 1664525u + 1013904223u;
        qsort(numbers, 512, sizeof numbers[0], ascending);
    }
}

/* Six rows in step: more than the D-cache has ways. */
void thrash(int32_t repeat)
{
    uint32_t sum = 0;
    for (int32_t n = 0; n < repeat; n++)
        for (int i = 0; i < 1024; i++)
            sum += rows[0][i] + rows[1][i] + rows[2][i] + rows[3][i] + rows[4][i] + rows[5][i];
    sink = sum;
}

/* Deep stack: 40 frames of 200 bytes. */
__attribute__((noinline)) static uint32_t deep(uint32_t level, const uint32_t *above)
{
    volatile uint32_t own[40];
    for (uint32_t i = 0; i < 40; i++)
        own[i] = above[i] + level;
    return level ? deep(level - 1, (const uint32_t *)own) + own[level & 31] : own[0];
}

void recurse(int32_t repeat)
{
    for (int32_t n = 0; n < repeat; n++)
        sink = deep(40, rows[n & 3]);
}

int32_t dot(const int16_t *a, const int16_t *b, int32_t n)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Blocks on the heap, so that newlib's malloc works as well. */
void allocate(int32_t repeat)
{
    for (int32_t n = 0; n < repeat; n++) {
        uint8_t *one = malloc(1000), *other = malloc(1000);
        memset(one, n, 1000);
        memcpy(other, one, 1000);
        sink = other[n & 511];
        free(one);
        free(other);
    }
}

int main(void)
{
    convolve(4);
    look_up(4000);
    sort(2);
    return 0;
}
