/* Vector table and start-up for a Cortex-M7: FPU, caches, memory, main, exit by semihosting.
 *
 * -DM7_CACHES=0     leave the caches off
 * -DM7_ARGUMENTS=0  do not ask for a command line; main gets none
 * -DM7_INTERRUPTS=n vectors for n interrupts; STM32F767 110, H743 150, H7A3 155, i.MX RT1062 158 */
#include "m7sim.h"

#include <stdlib.h>
#include <string.h>

#ifndef M7_CACHES
#define M7_CACHES 1
#endif
#ifndef M7_ARGUMENTS
#define M7_ARGUMENTS 1
#endif
#ifndef M7_INTERRUPTS
#define M7_INTERRUPTS 98 /* STM32F746: 97 lines and one reserved at the end (DS 2.12) */
#endif

extern uint32_t __StackTop[];
extern uint32_t __data_start__[], __data_end__[], __data_load__[];
extern uint32_t __itcm_start__[], __itcm_end__[], __itcm_load__[];
extern uint32_t __sram_start__[], __sram_end__[], __sram_load__[];
extern uint32_t __bss_start__[], __bss_end__[];
extern uint32_t __sram_bss_start__[], __sram_bss_end__[];
extern uint32_t __sram2_bss_start__[], __sram2_bss_end__[];
typedef void (*initializer_t)(void);
extern initializer_t __preinit_array_start[], __preinit_array_end[];
extern initializer_t __init_array_start[], __init_array_end[];

int main(int argc, char **argv);
void Reset_Handler(void);
void Default_Handler(void);

#define WEAK_DEFAULT __attribute__((weak, alias("Default_Handler")))
void NMI_Handler(void) WEAK_DEFAULT;
void HardFault_Handler(void) WEAK_DEFAULT;
void MemManage_Handler(void) WEAK_DEFAULT;
void BusFault_Handler(void) WEAK_DEFAULT;
void UsageFault_Handler(void) WEAK_DEFAULT;
void SVC_Handler(void) WEAK_DEFAULT;
void DebugMon_Handler(void) WEAK_DEFAULT;
void PendSV_Handler(void) WEAK_DEFAULT;
void SysTick_Handler(void) WEAK_DEFAULT;

__attribute__((section(".isr_vector"), used)) static const struct {
    void *stack;
    initializer_t handler[15 + M7_INTERRUPTS];
} vectors = {
    __StackTop,
    {
        Reset_Handler,
        NMI_Handler,
        HardFault_Handler,
        MemManage_Handler,
        BusFault_Handler,
        UsageFault_Handler,
        0,
        0,
        0,
        0,
        SVC_Handler,
        DebugMon_Handler,
        0,
        PendSV_Handler,
        SysTick_Handler,
        [15 ... 15 + M7_INTERRUPTS - 1] = Default_Handler,
    },
};

#define CPACR M7_REG(0xE000ED88u)
#define CCR M7_REG(0xE000ED14u)
#define CCSIDR M7_REG(0xE000ED80u)
#define CSSELR M7_REG(0xE000ED84u)
#define ICIALLU M7_REG(0xE000EF50u)
#define DCISW M7_REG(0xE000EF60u)

static inline void barrier(void) { __asm__ volatile("dsb\n\tisb" ::: "memory"); }

void m7_icache_enable(void)
{
    barrier();
    ICIALLU = 0;
    barrier();
    CCR |= 1u << 17;
    barrier();
}

void m7_dcache_enable(void)
{
    CSSELR = 0;
    barrier();
    uint32_t size = CCSIDR;
    uint32_t last_set = size >> 13 & 0x7FFF, last_way = size >> 3 & 0x3FF;
    uint32_t set_shift = (size & 7) + 4;
    uint32_t way_shift = last_way ? (uint32_t)__builtin_clz(last_way) : 0;
    for (uint32_t set = 0; set <= last_set; set++)
        for (uint32_t way = 0; way <= last_way; way++)
            DCISW = set << set_shift | way << way_shift;
    barrier();
    CCR |= 1u << 16;
    barrier();
}

/* Loops that must not become calls of memcpy: it may itself lie in ITCM. */
static void copy(uint32_t *to, const uint32_t *end, const uint32_t *from)
{
    while (to < end) {
        *to++ = *from++;
        __asm__ volatile("" ::: "memory");
    }
}

static void zero(uint32_t *from, const uint32_t *end)
{
    while (from < end) {
        *from++ = 0;
        __asm__ volatile("" ::: "memory");
    }
}

__attribute__((weak)) void SystemInit(void) {}

/* newlib's exit calls it; without crti.o nobody else defines it */
__attribute__((weak)) void _fini(void) {}

static int arguments(char **argv, int most)
{
#if M7_ARGUMENTS
    static char line[256];
    struct {
        char *buffer;
        int length;
    } block = {line, sizeof line};
    if (m7_semihost(M7_SYS_GET_CMDLINE, &block) != 0)
        return 0;
    int argc = 0;
    char *place = line;
    while (argc < most) {
        while (*place == ' ')
            *place++ = 0;
        if (!*place)
            break;
        argv[argc++] = place;
        while (*place && *place != ' ')
            place++;
    }
    return argc;
#else
    (void)argv;
    (void)most;
    return 0;
#endif
}

__attribute__((noreturn)) void Reset_Handler(void)
{
#if defined(__ARM_FP)
    CPACR |= 0xFu << 20;
    barrier();
#endif
#if M7_CACHES
    m7_icache_enable();
    m7_dcache_enable();
#endif
    copy(__itcm_start__, __itcm_end__, __itcm_load__);
    copy(__data_start__, __data_end__, __data_load__);
    copy(__sram_start__, __sram_end__, __sram_load__);
    zero(__bss_start__, __bss_end__);
    zero(__sram_bss_start__, __sram_bss_end__);
    zero(__sram2_bss_start__, __sram2_bss_end__);
    barrier(); /* code was copied */
    SystemInit();
    for (initializer_t *i = __preinit_array_start; i < __preinit_array_end; i++)
        (*i)();
    for (initializer_t *i = __init_array_start; i < __init_array_end; i++)
        (*i)();
    static char *argv[17];
    int argc = arguments(argv, 16);
    exit(main(argc, argv));
}

void Default_Handler(void) { m7_exit(128 + 3); }

__attribute__((noinline, used)) void m7_begin(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline, used)) void m7_end(void) { __asm__ volatile("" ::: "memory"); }

void m7_exit(int code)
{
    const uint32_t block[2] = {0x20026u, (uint32_t)code}; /* ADP_Stopped_ApplicationExit */
    for (;;)
        m7_semihost(M7_SYS_EXIT_EXTENDED, block);
}
