/* Nested inlining, loops, a literal pool, a table branch, a jump table in code. */
#include "inlines.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

volatile int32_t sink;
const int32_t table[4] = {3, 1, 4, 1};

static inline __attribute__((always_inline)) int32_t innermost(int32_t a, int32_t b)
{
    return a * b + table[a & 3];
}

static inline __attribute__((always_inline)) int32_t middle(int32_t a)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < a; i++) {
        sum += innermost(i, a);
        sum ^= from_header(sum);
    }
    return sum;
}

static __attribute__((noinline)) int32_t outer(int32_t a)
{
    int32_t first = middle(a);
    int32_t second = middle(a + 1) + innermost(a, 7);
    sink = first + second;
    return sink;
}

static __attribute__((noinline)) int choose(int which)
{
    switch (which) {
    case 0: return sink + 10;
    case 1: return sink * 3;
    case 2: return sink - 77;
    case 3: return 123456789;
    case 4: return sink ^ 0x55;
    case 5: return (int)middle(which);
    default: return 0;
    }
}

int unused(int a)
{
    return (int)middle(a) * 5 + choose(a);
}

int main(int argc, char **argv)
{
    (void)argv;
    printf("%d %f\n", (int)outer(argc + 5), 0.5 * choose(argc));
    qsort((void *)argv, 0, 1, 0);
    return 0;
}
