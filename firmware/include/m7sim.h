/* What firmware may use of m7sim; works on a board and on QEMU as well. */
#ifndef M7SIM_H
#define M7SIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Placement (see the linker script; .data and .bss are in DTCM by default) ---- */
#define M7_ITCM __attribute__((section(".itcm"), noinline, long_call))
#define M7_DTCM __attribute__((section(".dtcm")))
#define M7_DTCM_ZERO __attribute__((section(".bss.m7_dtcm")))
#define M7_SRAM __attribute__((section(".sram")))
#define M7_SRAM_ZERO __attribute__((section(".bss.m7_sram")))
#define M7_SRAM2_ZERO __attribute__((section(".bss.m7_sram2")))

/* ---- Region of interest: two empty functions, whose symbols are watched ---- */
void m7_begin(void);
void m7_end(void);

/* ---- Cycle counter ---- */
#define M7_REG(address) (*(volatile uint32_t *)(address))
#define M7_DEMCR M7_REG(0xE000EDFCu)
#define M7_DWT_CTRL M7_REG(0xE0001000u)
#define M7_DWT_CYCCNT M7_REG(0xE0001004u)
#define M7_DWT_LAR M7_REG(0xE0001FB0u)

static inline void m7_cycles_start(void)
{
    M7_DEMCR |= 1u << 24; /* TRCENA */
    M7_DWT_LAR = 0xC5ACCE55u;
    M7_DWT_CYCCNT = 0;
    M7_DWT_CTRL |= 1u;
}

static inline uint32_t m7_cycles(void) { return M7_DWT_CYCCNT; }

/* ---- Caches (startup.c switches both on unless built with -DM7_CACHES=0) ---- */
void m7_icache_enable(void);
void m7_dcache_enable(void);

/* ---- Semihosting: operation numbers as in Arm's specification ---- */
enum {
    M7_SYS_OPEN = 0x01,
    M7_SYS_CLOSE = 0x02,
    M7_SYS_WRITEC = 0x03,
    M7_SYS_WRITE0 = 0x04,
    M7_SYS_WRITE = 0x05,
    M7_SYS_READ = 0x06,
    M7_SYS_READC = 0x07,
    M7_SYS_ISTTY = 0x09,
    M7_SYS_SEEK = 0x0A,
    M7_SYS_FLEN = 0x0C,
    M7_SYS_TMPNAM = 0x0D,
    M7_SYS_REMOVE = 0x0E,
    M7_SYS_RENAME = 0x0F,
    M7_SYS_CLOCK = 0x10,
    M7_SYS_TIME = 0x11,
    M7_SYS_ERRNO = 0x13,
    M7_SYS_GET_CMDLINE = 0x15,
    M7_SYS_HEAPINFO = 0x16,
    M7_SYS_EXIT = 0x18,
    M7_SYS_EXIT_EXTENDED = 0x20,
    M7_SYS_ELAPSED = 0x30,
    M7_SYS_TICKFREQ = 0x31
};

static inline int m7_semihost(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

/* Ends the run with an exit code, without flushing what stdio holds. */
void m7_exit(int code) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif
#endif
