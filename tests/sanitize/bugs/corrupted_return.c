/* A local array is overrun and takes the return address with it. */
#include <stdint.h>

__attribute__((noinline)) static void fill(volatile uint32_t *to, int32_t words)
{
    for (int32_t i = 0; i < words; i++)
        to[i] = 0x41414141;
}

__attribute__((noinline)) int32_t corrupted_return(int32_t words)
{
    volatile uint32_t local[4];
#ifdef FIXED
    words = words > 4 ? 4 : words;
#endif
    fill(local, words);
    return (int32_t)local[0];
} /* BUG: wild_jump */
