/* A record with a float in the middle, and no padding. */
#include <stdint.h>
#include <string.h>

float unaligned_vldr(const uint8_t *record)
{
#ifdef FIXED
    float value;
    memcpy(&value, record + 2, sizeof value);
#else
    float value = *(const float *)(record + 2); /* BUG: unaligned_access */
#endif
    return value * value;
}
