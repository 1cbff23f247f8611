/* The last turn of the loop reads the element behind the array. */
#include <stdint.h>

int32_t off_by_one_read(const int8_t *x, int32_t length)
{
    int32_t sum = 0;
#ifdef FIXED
    for (int32_t i = 0; i < length; i++)
#else
    for (int32_t i = 0; i <= length; i++)
#endif
        sum += x[i]; /* BUG: out_of_bounds_read */
    return sum;
}
