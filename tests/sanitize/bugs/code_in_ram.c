/* A function in RAM, and a pointer to it that is taken for one to data. */
#include <stdint.h>

__attribute__((section(".itcm.code_in_ram_helper"), noinline)) int32_t code_in_ram_helper(int32_t x)
{
    return x * 3 + 1;
}

static int32_t counter;

int32_t code_in_ram(int32_t x)
{
#ifdef FIXED
    volatile int32_t *count = &counter;
#else
    volatile int32_t *count = (int32_t *)(((uintptr_t)&code_in_ram_helper & ~3u) + 4);
#endif
    int32_t result = code_in_ram_helper(x);
    *count = result; /* BUG: code_write */
    return result + counter;
}
