/* s8 softmax in fixed point: exponentials by a polynomial and products, one reciprocal per row. */
#include "m7nn_s8.h"

#define FRACTION_BITS 26 /* of an exponent */
#define SUM_BITS 12      /* integer bits of the sum of exponentials */
#define ONE 0x7fffffff   /* 1 as a fraction of 2^31 */

/** x * y / 2^31 to the nearest, midpoints up. */
static inline int32_t high_product(int32_t x, int32_t y)
{
    return (int32_t)(((int64_t)x * y + (1 << 30)) >> 31);
}

/** x / 2^bits to the nearest, midpoints away from zero. */
static inline int32_t rounding_shift(int32_t x, int32_t bits)
{
    const int32_t half = bits > 0 ? (1 << (bits - 1)) - (x < 0) : 0;
    return (int32_t)(((int64_t)x + half) >> bits);
}

/** e^x times 2^31, x <= 0 with 26 fraction bits and at most 5 integer bits. */
static int32_t exponential(int32_t x)
{
    /* e^(-2^k), k from -2 to 4, times 2^31 */
    static const int32_t power[7] = {1672461947, 1302514674, 790015084, 290630308,
                                     39332535,   720401,     242};
    const int32_t quarter = 1 << (FRACTION_BITS - 2);
    if (x == 0) {
        return ONE;
    }
    const int32_t within = (x & (quarter - 1)) - quarter; /* from -1/4 up to 0 */
    const int32_t y = within * 32 + (1 << 28);            /* around -1/8, as a fraction of 2^31 */
    const int32_t y2 = high_product(y, y);
    const int32_t y3 = high_product(y2, y);
    const int32_t y4 = high_product(y2, y2);
    const int32_t third = 715827883;
    const int32_t terms =
        rounding_shift(high_product(rounding_shift(y4, 2) + y3, third) + y2, 1);
    const int32_t eighth = 1895147668; /* e^(-1/8) times 2^31 */
    int32_t result = eighth + high_product(y + terms, eighth);
    const int32_t rest = within - x;
    for (int32_t k = 0; k < 7; k++) {
        if ((rest >> (FRACTION_BITS - 2 + k) & 1) != 0) {
            result = high_product(result, power[k]);
        }
    }
    return result;
}

/** 1 / (1 + x) for a fraction x of 2^31, by three of Newton's steps. */
static int32_t one_over_one_plus(int32_t x)
{
    const int32_t half = (int32_t)(((int64_t)x + ONE + 1) >> 1);
    int32_t guess = 1515870810 + high_product(half, -1010580540);
    for (int32_t n = 0; n < 3; n++) {
        const int32_t error = (1 << 29) - high_product(half, guess);
        guess += high_product(guess, error) * 4;
    }
    return guess > ONE / 2 ? ONE : guess * 2;
}

static inline int32_t largest(const int8_t *in, int32_t length)
{
    int32_t max = in[0];
    for (int32_t i = 1; i < length; i++) {
        max = in[i] > max ? in[i] : max;
    }
    return max;
}

static inline int32_t exponential_of(int32_t difference, int32_t multiplier, int32_t shift)
{
    return exponential(high_product(difference * (1 << shift), multiplier));
}

/** The reciprocal of a sum: a fraction of 2^31, and how far results have to be shifted right. */
static inline int32_t reciprocal(int32_t sum, int32_t *bits)
{
    const int32_t headroom = __builtin_clz((uint32_t)sum);
    *bits = SUM_BITS - headroom + 31 - 8;
    return one_over_one_plus((int32_t)(((uint32_t)sum << headroom) - 0x80000000u));
}

static inline int8_t probability(int32_t exponent, int32_t scale, int32_t bits)
{
    const int32_t out = rounding_shift(high_product(scale, exponent), bits) - 128;
    return (int8_t)(out > 127 ? 127 : out);
}

void m7nn_softmax_s8_naive(const int8_t *in, int32_t rows, int32_t length, int32_t multiplier,
                           int32_t shift, int32_t diff_min, int8_t *out, int32_t *buffer)
{
    (void)buffer;
    for (int32_t row = 0; length > 0 && row < rows; row++) {
        const int32_t max = largest(in, length);
        int32_t sum = 0;
        for (int32_t i = 0; i < length; i++) {
            if (in[i] - max >= diff_min) {
                sum += rounding_shift(exponential_of(in[i] - max, multiplier, shift), SUM_BITS);
            }
        }
        int32_t bits;
        const int32_t scale = reciprocal(sum, &bits);
        for (int32_t i = 0; i < length; i++) {
            const int32_t difference = in[i] - max;
            out[i] = difference < diff_min
                         ? -128
                         : probability(exponential_of(difference, multiplier, shift), scale, bits);
        }
        in += length;
        out += length;
    }
}

void m7nn_softmax_s8(const int8_t *in, int32_t rows, int32_t length, int32_t multiplier,
                     int32_t shift, int32_t diff_min, int8_t *out, int32_t *buffer)
{
    for (int32_t row = 0; length > 0 && row < rows; row++) {
        const int32_t max = largest(in, length);
        int32_t sum = 0;
        for (int32_t i = 0; i < length; i++) {
            int32_t exponent = 0; /* gives the smallest output, as what does not count must */
            if (in[i] - max >= diff_min) {
                exponent = exponential_of(in[i] - max, multiplier, shift);
                sum += (int32_t)(((uint32_t)exponent + (1u << (SUM_BITS - 1))) >> SUM_BITS);
            }
            buffer[i] = exponent;
        }
        int32_t bits;
        const int32_t scale = reciprocal(sum, &bits);
        for (int32_t i = 0; i < length; i++) {
            out[i] = probability(buffer[i], scale, bits);
        }
        in += length;
        out += length;
    }
}
