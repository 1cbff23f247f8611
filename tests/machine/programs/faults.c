/* One way to go wrong per function. */
#include "m7sim.h"

#include <stdlib.h>


volatile uint32_t sink;

void load_unmapped(void) { sink = *(volatile uint32_t *)0x30000000; }
void store_unmapped(void) { *(volatile uint16_t *)0x20050000 = 1; }
void null_pointer(const volatile int *p) { sink = p[0x4000]; }
void store_to_flash(void) { *(volatile uint32_t *)0x08000100 = 1; }
void sdram(void) { sink = *(volatile uint32_t *)0xC0000000; }
void wild_jump(void)
{
    void (*volatile f)(void) = (void (*)(void))0x30000001;
    f();
    sink = 1;
}
void jump_to_peripheral(void)
{
    void (*volatile f)(void) = (void (*)(void))0x40000001;
    f();
    sink = 1;
}
void even_address(void)
{
    void (*volatile f)(void) = (void (*)(void))((uint32_t)wild_jump & ~1u);
    f();
    sink = 1;
}
void undefined(void) { __builtin_trap(); }
void undefined_wide(void) { __asm__ volatile(".short 0xE801, 0x0000"); }
void supervisor_call(void) { __asm__ volatile("svc 3"); }
void breakpoint(void) { __asm__ volatile("bkpt 1"); }
void double_precision(void)
{
    __asm__ volatile(".fpu fpv5-d16\n\tvadd.f64 d0, d1, d2\n\t.fpu fpv5-sp-d16");
}
void double_fused(void)
{
    __asm__ volatile(".fpu fpv5-d16\n\tvmaxnm.f64 d0, d1, d2\n\t.fpu fpv5-sp-d16");
}
void bad_semihosting(void) { m7_semihost(0x77, 0); }
void bad_buffer(void) { m7_semihost(M7_SYS_WRITE0, (const void *)0x30000000); }
void reset_request(void)
{
    M7_REG(0xE000ED0C) = 0x05FA0004;
    for (;;) {}
}
void waits(void) { __asm__ volatile("wfi"); }
void leaves(void) { m7_exit(7); }
void exception_return(void) { __asm__ volatile("bx %0" ::"r"(0xFFFFFFF9)); }

static int recurse(volatile int n)
{
    volatile char room[256];
    room[0] = (char)n;
    return recurse(n + 1) + room[0];
}
int overflow(void) { return recurse(0); }
static int deep(volatile int n)
{
    volatile char room[256];
    room[255] = room[0] = (char)n;
    return n ? deep(n - 1) + room[0] : 0;
}
int nearly_overflow(void) { return deep(31); }

/* These must run. */
int hints(void)
{
    __asm__ volatile("yield\n\twfe\n\tsev\n\tnop\n\tyield.w\n\twfe.w\n\tdsb\n\tisb");
    return 5;
}
int double_moves(double a, double *b)
{
    *b = a; /* loads and stores of doubles exist on a single-precision FPU */
    return 6;
}
void forever(void)
{
    for (;;)
        sink++;
}

void *const keep[] = {load_unmapped,   store_unmapped,    null_pointer, store_to_flash,
                      sdram,           wild_jump,         even_address, undefined,
                      undefined_wide,  supervisor_call,   breakpoint,   double_precision,
                      double_fused,    bad_semihosting,   bad_buffer,   reset_request,
                      waits,           leaves,            overflow,     hints,
                      nearly_overflow, double_moves,      forever,      jump_to_peripheral,
                      exception_return};
int main(void) { return keep[0] == 0; }
