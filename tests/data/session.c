#include <stdint.h>
#define CYCCNT (*(volatile uint32_t *)0xE0001004)
#define DWT_CTRL (*(volatile uint32_t *)0xE0001000)
#define DEMCR (*(volatile uint32_t *)0xE000EDFC)

extern uint32_t _stack[];
void Reset_Handler(void);
__attribute__((section(".isr_vector"), used)) void *const vectors[16] = {_stack, (void *)Reset_Handler};

static int semihost(int op, const void *argument)
{
    register int r0 __asm__("r0") = op;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

__attribute__((noinline)) static void leave(int code)
{
    const uint32_t block[2] = {0x20026, (uint32_t)code};
    semihost(0x20, block);
    for (;;) {}
}

volatile uint32_t measured, sink;
int16_t left[64], right[64];

__attribute__((noipa)) int32_t dot(const int16_t *a, const int16_t *b, uint32_t n)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

__attribute__((noipa)) uint32_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

__attribute__((noipa)) void scale(const float *in, float *out, float factor, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = in[i] * factor;
}

__attribute__((noinline)) void forever(void) { for (;;) sink++; }
__attribute__((noinline)) void announced(void)
{
    semihost(4, "ready\n");
    forever();
}

__attribute__((noinline)) void wild(void) { ((void (*)(void))0xDEADBEEF)(); }
__attribute__((noinline)) void unmapped(void) { *(volatile uint32_t *)0x30000000 = 1; }
__attribute__((noinline)) int failing(void) { leave(7); return 0; }

int main(void)
{
    DEMCR |= 1u << 24;
    DWT_CTRL |= 1;
    for (int i = 0; i < 64; i++) {
        left[i] = (int16_t)i;
        right[i] = (int16_t)(3 * i);
    }
    semihost(4, "hello\n");
    uint32_t before = CYCCNT;
    sink = (uint32_t)dot(left, right, 64);
    measured = CYCCNT - before;
    sink = fib(10);
    leave(0);
}

void Reset_Handler(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xF << 20; /* the FPU on: CPACR */
    *(volatile uint32_t *)0xE000ED14 |= 3u << 16;  /* the caches on: CCR */
    __asm__ volatile("dsb; isb");
    main();
    for (;;) {}
}
