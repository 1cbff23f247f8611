/* Somebody forgot the "bx lr". */
#include <stdint.h>

__attribute__((naked, noinline, no_reorder, section(".text.runs_over_end")))
int32_t runs_over_end(int32_t x)
{
    __asm__ volatile( /* BUG: wild_jump */
        "add r0, r0, r0\n"
        "lsl r0, r0, #1\n"
#ifdef FIXED
        "bx lr\n"
#endif
    );
}

__attribute__((noinline, used, no_reorder, section(".text.runs_over_end")))
int32_t runs_over_end_neighbour(int32_t x)
{
    return x - 1;
}
