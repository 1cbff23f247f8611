/* Eight bytes at once: the compiler believes the cast and uses LDRD, which has to be aligned. */
#include <stdint.h>
#include <string.h>

int64_t unaligned_ldrd(const uint8_t *bytes, int32_t offset)
{
#ifdef FIXED
    int64_t value;
    memcpy(&value, bytes + offset, sizeof value);
#else
    int64_t value = *(const volatile int64_t *)(bytes + offset); /* BUG: unaligned_access */
#endif
    return 3 * value;
}
