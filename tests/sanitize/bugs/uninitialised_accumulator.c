/* Four partial sums, and nobody sets them to 0. */
#include <stdint.h>

int32_t uninitialised_accumulator(const int8_t *x, int32_t length)
{
    volatile int32_t sums[4];
#ifdef FIXED
    for (int32_t i = 0; i < 4; i++)
        sums[i] = 0;
#endif
    for (int32_t i = 0; i < length; i++)
        sums[i & 3] += x[i]; /* BUG: uninitialised_read */
    return sums[0] + sums[1] + sums[2] + sums[3];
}
