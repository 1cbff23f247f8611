#ifndef FIR_Q15_H
#define FIR_Q15_H

#include <stdint.h>

/*
 * Finite impulse response filter in q15, rounded and saturated:
 *
 *     y[i] = sat((sum of x[i + k] * taps[k] for k < n_taps, + 1/2) >> 15),  i < n
 *
 * x holds n + n_taps - 1 samples, the oldest first; taps stand in the order of x, which is the
 * impulse response reversed. n_taps is even. The absolute values of the taps add up to less than
 * 2.0 (65536), so that no sum overflows.
 */
void fir_q15(int16_t *y, const int16_t *x, const int16_t *taps, int n, int n_taps);

#endif
