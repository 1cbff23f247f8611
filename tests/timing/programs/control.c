/* Firmware that changes the memory system while it runs. */
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

__attribute__((section(".bss.m7_sram"))) volatile uint32_t data[256];
volatile uint32_t sink;

__attribute__((noinline)) void read_default(void)
{
    for (int k = 0; k < 256; k++)
        sink += data[k];
}
__attribute__((noinline)) void read_again(void)
{
    for (int k = 0; k < 256; k++)
        sink += data[k];
}
__attribute__((noinline)) void read_cleaned(void)
{
    for (int k = 0; k < 256; k++)
        sink += data[k];
}
__attribute__((noinline)) void read_uncached(void)
{
    for (int k = 0; k < 256; k++)
        sink += data[k];
}

int main(void)
{
    read_default();
    read_again();
    for (uint32_t k = 0; k < 256; k += 8)
        REGISTER(0xE000EF70) = (uint32_t)&data[k]; /* DCCIMVAC */
    __asm__ volatile("dsb");
    read_cleaned();
    REGISTER(0xE000ED98) = 0;
    REGISTER(0xE000ED9C) = 0x20010000;
    REGISTER(0xE000EDA0) = 1u << 19 | 3u << 24 | 15u << 1 | 1u; /* 64 KiB, Normal, no cache */
    REGISTER(0xE000ED94) = 5;
    __asm__ volatile("dsb; isb");
    read_uncached();
    return 0;
}
