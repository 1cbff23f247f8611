#include "fir_q15.h"

#include <arm_acle.h>
#include <string.h>

/* Two samples in one register: one load, at any address. */
static inline int16x2_t two(const int16_t *p)
{
    int16x2_t pair;
    memcpy(&pair, p, sizeof pair);
    return pair;
}

static inline int16_t rounded(int32_t sum)
{
    return (int16_t)__ssat((sum + (1 << 14)) >> 15, 16);
}

void fir_q15(int16_t *y, const int16_t *x, const int16_t *taps, int n, int n_taps)
{
    int i = 0;

    /* Four outputs at a time: three loads for eight products. */
    for (; i + 4 <= n; i += 4) {
        int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
        int16x2_t x01 = two(x + i), x12 = two(x + i + 1);
        for (int k = 0; k < n_taps; k += 2) {
            int16x2_t h = two(taps + k);
            int16x2_t x23 = two(x + i + k + 2), x34 = two(x + i + k + 3);
            sum0 = __smlad(h, x01, sum0);
            sum1 = __smlad(h, x12, sum1);
            sum2 = __smlad(h, x23, sum2);
            sum3 = __smlad(h, x34, sum3);
            x01 = x23;
            x12 = x34;
        }
        y[i] = rounded(sum0);
        y[i + 1] = rounded(sum1);
        y[i + 2] = rounded(sum2);
        y[i + 3] = rounded(sum3);
    }

    for (; i < n; i++) {
        int32_t sum = 0;
        for (int k = 0; k < n_taps; k += 2)
            sum = __smlad(two(taps + k), two(x + i + k), sum);
        y[i] = rounded(sum);
    }
}
