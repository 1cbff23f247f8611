/* Runs every probe with DWT->CYCCNT and prints "id,copies,cycles".
 *
 * -DM7_PROBES_ITM=1  print through ITM port 0 (SWO) instead of semihosting
 *
 * Each probe is measured at n and at 2n copies of its text, so whatever is the same for both (the
 * reading of the counter, the way in and out) drops out of the difference. The smallest of some
 * passes is printed: caches and branch predictors are warm, and an odd event cannot add to it. */
#include "m7sim.h"

#ifndef M7_PROBES_ITM
#define M7_PROBES_ITM 0
#endif

#define PASSES 3
#define DATA_WORDS 256 /* must agree with harness.S */

struct probe {
    const char *id;
    void (*setup)(void);
    void (*entry[2])(void); /* n copies, 2n copies */
    uint32_t copies;        /* n */
};

extern const struct probe probe_table[];
extern const uint32_t probe_count;
uint32_t probe_measure(void (*setup)(void), void (*entry)(void), volatile uint32_t *counter,
                       uint32_t copies);

/* Words 0 to 31 hold the address of the first, so that a loaded word can be an address; the others
 * are 0, so that a loaded byte or halfword can be one too. */
__attribute__((aligned(256))) uint32_t probe_data[DATA_WORDS];

/* The same contents behind the data cache, wherever the flash lies. */
__attribute__((aligned(256))) const uint32_t probe_constants[DATA_WORDS] = {1};

/* Volatile, or it becomes a call of memset: code far away, which may evict the experiment's lines
 * from a small I-cache in every pass. */
static void refill(void)
{
    volatile uint32_t *data = probe_data;
    for (int i = 0; i < 32; i++)
        data[i] = (uint32_t)probe_data;
    for (int i = 32; i < 64; i++)
        data[i] = 0;
}

static void print(const char *text)
{
#if M7_PROBES_ITM
    /* A debugger that listens has set up SWO; without one the port stays disabled. */
    for (; *text; text++) {
        if (!(M7_REG(0xE0000E80u) & 1) || !(M7_REG(0xE0000E00u) & 1))
            return;
        while (!(M7_REG(0xE0000000u) & 1))
            ;
        *(volatile uint8_t *)0xE0000000u = (uint8_t)*text;
    }
#else
    m7_semihost(M7_SYS_WRITE0, text);
#endif
}

static char *put_text(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

static char *put_number(char *to, uint32_t n)
{
    char digits[10];
    int used = 0;
    do
        digits[used++] = (char)('0' + n % 10);
    while (n /= 10);
    while (used)
        *to++ = digits[--used];
    return to;
}

static char *put_row(char *to, const char *id, uint32_t copies, uint32_t cycles)
{
    to = put_text(to, id);
    *to++ = ',';
    to = put_number(to, copies);
    *to++ = ',';
    to = put_number(to, cycles);
    *to++ = '\n';
    return to;
}

static uint32_t run(const struct probe *p, int which, volatile uint32_t *counter)
{
    refill();
    return probe_measure(p->setup, p->entry[which], counter, p->copies << which);
}

/* One copy of this code for both lengths, so that its branches meet the same predictor entries. */
__attribute__((noinline)) static uint32_t measure(const struct probe *p, int which)
{
    uint32_t best = ~0u;
    for (int pass = 0; pass < PASSES; pass++) {
        uint32_t cycles = run(p, which, &M7_DWT_CYCCNT);
        best = cycles < best ? cycles : best;
    }
    return best;
}

int main(void)
{
    __asm__ volatile("cpsid i");
    /* Once through everything without the counter: a simulator that reads code as it meets it has
     * then met all of it. */
    volatile uint32_t no_counter = 0;
    for (uint32_t i = 0; i < probe_count; i++)
        for (int which = 0; which < 2; which++)
            run(&probe_table[i], which, &no_counter);
    m7_cycles_start();
    print("id,copies,cycles\n");
    static char rows[256];
    for (uint32_t i = 0; i < probe_count; i++) {
        const struct probe *p = &probe_table[i];
        char *to = rows;
        for (int which = 0; which < 2; which++)
            to = put_row(to, p->id, p->copies << which, measure(p, which));
        *to = 0;
        print(rows);
    }
    print("end\n");
#if M7_PROBES_ITM
    for (;;)
        __asm__ volatile("wfi");
#else
    m7_exit(0);
#endif
}
