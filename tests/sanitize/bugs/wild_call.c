/* A table of handlers, one of which points into a function. */
#include <stdint.h>

typedef int32_t handler_t(int32_t);

__attribute__((naked, noinline)) static int32_t twice(int32_t x)
{
    __asm__ volatile("add.n r0, r0, r0\n"
                     "bx lr\n");
}

int32_t wild_call(int32_t x)
{
#ifdef FIXED
    handler_t *volatile handler = twice;
#else
    handler_t *volatile handler = (handler_t *)((uintptr_t)twice + 2);
#endif
    return handler(x) + 1; /* BUG: wild_jump */
}
