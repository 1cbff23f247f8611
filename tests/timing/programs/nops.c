/* An unoptimised loop of four NOPs that counts in memory; compile it with -O0. */
#include <stdint.h>

void nops(void)
{
    for (uint32_t i = 0; i < 2000; i++) {
        __asm__ volatile("nop");
        __asm__ volatile("nop");
        __asm__ volatile("nop");
        __asm__ volatile("nop");
    }
}

/* The same with an end that takes a literal. */
void nops_literal(void)
{
    for (uint32_t i = 0x1E8480 - 2000; i < 0x1E8480; i++) {
        __asm__ volatile("nop");
        __asm__ volatile("nop");
        __asm__ volatile("nop");
        __asm__ volatile("nop");
    }
}
