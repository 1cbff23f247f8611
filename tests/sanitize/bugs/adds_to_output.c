/* Adds to an output that it should set. */
#include <stdint.h>

void adds_to_output(const int8_t *x, int32_t *out, int32_t length)
{
    for (int32_t i = 0; i < length; i++)
#ifdef FIXED
        out[i] = 2 * x[i];
#else
        out[i] += 2 * x[i]; /* BUG: uninitialised_read */
#endif
}
