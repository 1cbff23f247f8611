/* Four elements at a time, the last ones too, even if there are only one to three of them. */
#include <stdint.h>
#include <string.h>

int32_t simd_over_read(const int8_t *x, int32_t length)
{
    int32_t sum = 0;
    int32_t i = 0;
#ifdef FIXED
    for (; i + 4 <= length; i += 4) {
#else
    for (; i < length; i += 4) {
#endif
        uint32_t four;
        memcpy(&four, x + i, 4); /* BUG: out_of_bounds_read */
        for (int32_t k = 0; k < 4; k++)
            sum += i + k < length ? (int8_t)(four >> 8 * k) : 0;
    }
    for (; i < length; i++)
        sum += x[i];
    return sum;
}
