/* Works on a copy as long as the input, on the stack, however long that is. */
#include <stdint.h>

int32_t stack_overflow(int32_t length)
{
#ifdef FIXED
    if (length > 1024)
        length = 1024;
#endif
    volatile int8_t copy[length];
    for (int32_t i = 0; i < length; i++)
        copy[i] = (int8_t)i; /* BUG: stack_overflow */
    return length;
}
