/* Long loops between reads of the cycle counter, writes to the cache control and to the MPU. */
#include <stdint.h>
#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CYCCNT REGISTER(0xE0001004)

extern uint32_t _stack[];
void Reset_Handler(void);
__attribute__((section(".isr_vector"), used)) void *const vectors[16] = {_stack, (void *)Reset_Handler};

uint32_t samples[32];
volatile uint32_t sink;
uint32_t memory[4096];

__attribute__((noipa)) uint32_t work(uint32_t n, uint32_t seed)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t *p = &memory[seed >> 20];
        if (seed & 0x1000)
            sum += *p;
        else
            *p = sum;
    }
    return sum;
}

__attribute__((noipa)) uint32_t walk(uint32_t n) { return n ? work(3, n) + walk(n - 1) : 0; }

int main(void)
{
    REGISTER(0xE000EDFC) |= 1u << 24; /* DEMCR: TRCENA */
    REGISTER(0xE0001000) |= 1;        /* DWT_CTRL: CYCCNTENA */
    for (uint32_t round = 0; round < 32; round++) {
        sink = work(50 + 40 * round, round) + walk(20);
        if (round == 8)
            REGISTER(0xE000ED14) |= 3u << 16; /* CCR: both caches on */
        if (round > 8 && round % 3 == 0)
            for (uint32_t line = 0; line < 64; line++)
                REGISTER(0xE000EF70) = (uint32_t)memory + 32 * line; /* DCCIMVAC */
        if (round == 20)
            REGISTER(0xE000ED14) &= ~(1u << 16); /* D-cache off */
        samples[round] = CYCCNT;
    }
    static const uint32_t leave[2] = {0x20026, 0};
    register int r0 __asm__("r0") = 0x20;
    register const void *r1 __asm__("r1") = leave;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    for (;;) {}
}

__attribute__((noinline)) void forever(void) { for (;;) sink++; }

void Reset_Handler(void)
{
    main();
    for (;;) {}
}
