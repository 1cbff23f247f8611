/* Loops that read or write a stretch of memory, a value of 8 to 64 bits at a time. */
#include <stdint.h>

volatile uint64_t sweep_sink;

#define SWEEP(bits)                                                                   \
    void read##bits(volatile uint##bits##_t *from, uint32_t count)                    \
    {                                                                                 \
        uint##bits##_t last = 0;                                                      \
        for (uint32_t k = 0; k < count; k++)                                          \
            last = from[k];                                                           \
        sweep_sink = last;                                                            \
    }                                                                                 \
    void write##bits(volatile uint##bits##_t *to, uint32_t count)                     \
    {                                                                                 \
        for (uint32_t k = 0; k < count; k++)                                          \
            to[k] = (uint##bits##_t)k;                                                \
    }

SWEEP(8)
SWEEP(16)
SWEEP(32)
SWEEP(64)
