/* A table of 8, filled with 9: the last one goes into the variable behind it. */
#include <stdint.h>

#define BSS(n) __attribute__((section(".bss.global_overrun_" #n), no_reorder))

BSS(1) volatile int32_t global_overrun_table[8];
BSS(2) volatile int32_t global_overrun_neighbour;

int32_t global_overrun(int32_t count)
{
#ifdef FIXED
    count = count > 8 ? 8 : count;
#endif
    for (int32_t i = 0; i < count; i++)
        global_overrun_table[i] = i; /* BUG: out_of_bounds_write */
    return global_overrun_table[0] + global_overrun_neighbour;
}
