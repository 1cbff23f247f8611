/* Keeps a pointer to a local array of a function that has returned. */
#include <stdint.h>

static volatile int32_t *volatile result;

__attribute__((noinline)) static void compute(int32_t x)
{
    volatile int32_t local[4];
#ifdef FIXED
    static volatile int32_t kept[4];
    volatile int32_t *where = kept;
#else
    volatile int32_t *where = local;
#endif
    for (int32_t i = 0; i < 4; i++)
        local[i] = where[i] = x + i;
    result = where;
}

int32_t dangling_stack(int32_t x)
{
    compute(x);
    volatile int32_t *where = result;
    return where[1]; /* BUG: below_sp */
}
