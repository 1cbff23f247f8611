/* Normalises its input in place, although it promises not to touch it. */
#include <stdint.h>

int32_t const_write(const int8_t *x, int32_t length)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < length; i++) {
#ifndef FIXED
        ((int8_t *)x)[i] = x[i] >> 1; /* BUG: const_write */
#endif
        sum += x[i];
    }
    return sum;
}
