/* Ends the vector with a 0 for which there is no room. */
#include <stdint.h>

void write_past_end(const int16_t *x, int16_t *out, int32_t length)
{
    for (int32_t i = 0; i < length; i++)
        out[i] = x[i] / 2;
#ifdef FIXED
    out[length - 1] = 0;
#else
    out[length] = 0; /* BUG: out_of_bounds_write */
#endif
}
