/* What the C library and the compiler's own functions do is no mistake. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile int seed = 12345;
static char text[600], other[600];

static int random_number(void)
{
    seed = (int)((unsigned)seed * 1103515245u + 12345u);
    return (unsigned)seed >> 16 & 0x7FFF;
}

static int by_value(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void moves(void)
{
    for (int offset = 0; offset < 5; offset++)
        for (int length = 0; length < 70; length += 1 + length / 9) {
            memset(text, 'a' + length % 26, sizeof text - 1);
            memcpy(other + offset, text + 7 - offset, (size_t)length);
            other[offset + length] = 0;
            memmove(text + 3, text + offset, (size_t)length);
            text[length + 3] = 0;
            if (strlen(other + offset) != (size_t)length)
                abort();
            seed += strcmp(text, other + offset) + memcmp(text, other, 9) + (strchr(text, 'c') != 0)
                    + (memchr(other, 'q', 100) != 0) + (strstr(text, "zzz") != 0);
            strcpy(other, text);
            strncpy(text, other, 20);
            strcat(text, "end");
            seed += strncmp(text, other, 12) + (int)strspn(text, "abc");
        }
}

static void sorts(void)
{
    int numbers[97];
    for (int i = 0; i < 97; i++)
        numbers[i] = random_number();
    qsort(numbers, 97, sizeof *numbers, by_value);
    for (int i = 1; i < 97; i++)
        if (numbers[i - 1] > numbers[i])
            abort();
    if (!bsearch(&numbers[13], numbers, 97, sizeof *numbers, by_value))
        abort();
}

static void prints(void)
{
    volatile float f = 2.718281828f;
    volatile double d = 3.141592653589793;
    volatile long long l = -1234567890123LL;
    printf("%d %u %x %o %c %s %5d|%-5d|%05d %p\n", -3, 7u, 255u, 8u, 'z', "text", 42, 42, 42,
           (void *)text);
    printf("%f %e %g %.10f %10.3f %lld %llu\n", d, d * 1e100, f, d / 7, -d, l,
           (unsigned long long)l);
    snprintf(text, sizeof text, "%g %s %.*s", 1e-300 * d, "abc", 3, "defghi");
    int i;
    float g;
    char word[20];
    if (sscanf("42 2.5 word", "%d %f %19s", &i, &g, word) != 3)
        abort();
    printf("%s %d %g %s %g %ld\n", text, i, g, word, strtod("-1.25e-7", NULL),
           strtol("0x7f", NULL, 0));
}

static void allocates(void)
{
    void *kept[20] = {0};
    for (int i = 0; i < 100; i++) {
        int k = random_number() % 20;
        free(kept[k]);
        kept[k] = malloc((size_t)(1 + random_number() % 90));
        memset(kept[k], k, 1);
    }
    kept[0] = realloc(kept[0], 300);
    char *zeros = calloc(10, 7);
    for (int i = 0; i < 70; i++)
        seed += zeros[i];
    free(zeros);
    for (int i = 0; i < 20; i++)
        free(kept[i]);
}

static void computes(void)
{
    volatile long long l = 0x123456789ABCDELL;
    volatile unsigned long long u = 0xFEDCBA9876543210ULL;
    volatile double d = 1.5;
    volatile float f = 0.25f;
    for (int i = 1; i < 20; i++) {
        l = l / (i - 10 ? i - 10 : 1) * 3 + l % (7 + i);
        u = u / (unsigned)(i * 77) + (u % 1001u << i) + (u >> i);
        d = sqrt(fabs(d)) * sin(d) + exp(-d * d) - d / 3 + pow(1.1, i) + floor(d) + (double)l;
        f = sinf(f) + sqrtf(fabsf(f)) * expf(-f) + logf(2.0f + f * f) + (float)u / 1e18f;
        d = fmod(d, 10.0) + (double)f + (double)u * 1e-18 + atan2(d, 2.0);
        seed += (int)l + (int)(long long)d + (d > f) + (d != d) + (int)roundf(f);
    }
    if (div(17, 5).rem != 2 || llabs(-5) != 5)
        abort();
}

int main(void)
{
    moves();
    sorts();
    prints();
    allocates();
    computes();
    return 0;
}
