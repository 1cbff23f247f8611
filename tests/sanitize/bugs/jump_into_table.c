/* Calls what should be code but is a table of numbers, which happen to be instructions. */
#include <stdint.h>

typedef int32_t handler_t(int32_t);

static uint16_t numbers[4] = {0x3001, 0x4770, 0xBF00, 0xBF00}; /* adds r0, #1; bx lr */

static int32_t next(int32_t x) { return x + 1; }

int32_t jump_into_table(int32_t x)
{
#ifdef FIXED
    handler_t *volatile handler = next;
#else
    handler_t *volatile handler = (handler_t *)((uintptr_t)numbers | 1);
#endif
    return handler(x) + numbers[2]; /* BUG: wild_jump */
}
