/*
 * The Armv7E-M SIMD-in-register instructions used by the kernels, one inline function each.
 *
 * M7NN_PKH_IN_C builds the halfword packs from shifts and masks instead of PKHBT/PKHTB, as the
 * compiler headers of the time of the first published measurements did: 2 to 6 instructions more
 * per step in the in-order product and the depthwise kernel.
 */
#ifndef M7DSP_H
#define M7DSP_H

#include <stdint.h>

/** Word at any byte address: one LDR (never LDRD or LDM, which need alignment). */
static inline uint32_t m7_load32(const void *p)
{
    uint32_t value;
    __builtin_memcpy(&value, p, 4);
    return value;
}

/** Word to any byte address: one STR. */
static inline void m7_store32(void *p, uint32_t value)
{
    __builtin_memcpy(p, &value, 4);
}

/** Halfword to any byte address: one STRH. */
static inline void m7_store16(void *p, uint32_t value)
{
    uint16_t half = (uint16_t)value;
    __builtin_memcpy(p, &half, 2);
}

static inline uint32_t m7_ror(uint32_t x, uint32_t bits)
{
    return (x >> bits) | (x << (32u - bits));
}

/** Bytes 0 and 2, sign-extended to the two halves. */
static inline uint32_t m7_sxtb16(uint32_t x)
{
    uint32_t result;
    __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(x));
    return result;
}

/** Bytes 0 and 2, zero-extended to the two halves. */
static inline uint32_t m7_uxtb16(uint32_t x)
{
    uint32_t result;
    __asm__("uxtb16 %0, %1" : "=r"(result) : "r"(x));
    return result;
}

/** Bytes 1 and 3, sign-extended to the two halves: the rotation is part of the instruction. */
static inline uint32_t m7_sxtb16_ror8(uint32_t x)
{
    uint32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(x));
    return result;
}

/** sum + bytes 0 and 2 of x, sign-extended, in each half. */
static inline uint32_t m7_sxtab16(uint32_t sum, uint32_t x)
{
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(sum), "r"(x));
    return result;
}

/** sum + bytes 1 and 3 of x, sign-extended, in each half. */
static inline uint32_t m7_sxtab16_ror8(uint32_t sum, uint32_t x)
{
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sum), "r"(x));
    return result;
}

/** accumulator + product of the low halves. */
static inline int32_t m7_smlabb(uint32_t x, uint32_t y, int32_t accumulator)
{
    int32_t result;
    __asm__ volatile("smlabb %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(accumulator));
    return result;
}

/** accumulator + product of the high halves. */
static inline int32_t m7_smlatt(uint32_t x, uint32_t y, int32_t accumulator)
{
    int32_t result;
    __asm__ volatile("smlatt %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(accumulator));
    return result;
}

/** accumulator + product of the high half of x and the low half of y. */
static inline int32_t m7_smlatb(uint32_t x, uint32_t y, int32_t accumulator)
{
    int32_t result;
    __asm__ volatile("smlatb %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(accumulator));
    return result;
}

/** (x * y + 2^31) >> 32. */
static inline int32_t m7_smmulr(int32_t x, int32_t y)
{
    int32_t result;
    __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(x), "r"(y));
    return result;
}

/** accumulator + low half product + high half product. */
static inline int32_t m7_smlad(uint32_t x, uint32_t y, int32_t accumulator)
{
    int32_t result;
    __asm__ volatile("smlad %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(accumulator));
    return result;
}

/** Low half of x, and the low half of y as the high half. */
static inline uint32_t m7_pkhbt16(uint32_t x, uint32_t y)
{
#ifdef M7NN_PKH_IN_C
    return (x & 0x0000ffffu) | (y << 16);
#else
    uint32_t result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(x), "r"(y));
    return result;
#endif
}

/** High half of x, and the high half of y as the low half. */
static inline uint32_t m7_pkhtb16(uint32_t x, uint32_t y)
{
#ifdef M7NN_PKH_IN_C
    return (x & 0xffff0000u) | (y >> 16);
#else
    uint32_t result;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(x), "r"(y));
    return result;
#endif
}

/** High half of x with the low half of y. */
static inline uint32_t m7_pkhtb(uint32_t x, uint32_t y)
{
#ifdef M7NN_PKH_IN_C
    return (x & 0xffff0000u) | (y & 0x0000ffffu);
#else
    uint32_t result;
    __asm__("pkhtb %0, %1, %2" : "=r"(result) : "r"(x), "r"(y));
    return result;
#endif
}

/** x - y in each byte, saturated to [-128, 127]. */
static inline uint32_t m7_qsub8(uint32_t x, uint32_t y)
{
    uint32_t result;
    __asm__("qsub8 %0, %1, %2" : "=r"(result) : "r"(x), "r"(y));
    return result;
}

/** x + y in each half, saturated to [-32768, 32767]. */
static inline uint32_t m7_qadd16(uint32_t x, uint32_t y)
{
    uint32_t result;
    __asm__("qadd16 %0, %1, %2" : "=r"(result) : "r"(x), "r"(y));
    return result;
}

/** x + y in each half, wrapping. */
static inline uint32_t m7_sadd16(uint32_t x, uint32_t y)
{
    uint32_t result;
    __asm__("sadd16 %0, %1, %2" : "=r"(result) : "r"(x), "r"(y));
    return result;
}

/** x + y in each byte, saturated to [-128, 127]. */
static inline uint32_t m7_qadd8(uint32_t x, uint32_t y)
{
    uint32_t result;
    __asm__("qadd8 %0, %1, %2" : "=r"(result) : "r"(x), "r"(y));
    return result;
}

/** The larger of x and y in each byte: a subtraction sets the flags that the select reads. */
static inline uint32_t m7_max8(uint32_t x, uint32_t y)
{
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(x), "r"(y));
    return result;
}

/** The smaller of x and y in each byte. */
static inline uint32_t m7_min8(uint32_t x, uint32_t y)
{
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(x), "r"(y));
    return result;
}

/** x saturated to [-32768, 32767]. */
static inline int32_t m7_ssat16(int32_t x)
{
    int32_t result;
    __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(x));
    return result;
}

/** x saturated to [-128, 127]. */
static inline int32_t m7_ssat8(int32_t x)
{
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
}

/** x saturated to [0, 31]. */
static inline uint32_t m7_usat5(int32_t x)
{
    uint32_t result;
    __asm__("usat %0, #5, %1" : "=r"(result) : "r"(x));
    return result;
}

#endif /* M7DSP_H */
