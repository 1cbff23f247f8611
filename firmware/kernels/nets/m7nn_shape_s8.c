/* What networks do between layers: means over axes, and axes in another order. */
#include "m7nn_nets.h"

#include "../nn/m7nn_s8_internal.h"

void m7nn_mean_s8(const int8_t *in, int32_t outer, int32_t reduced, int32_t inner,
                  int32_t in_offset, int32_t multiplier, int32_t shift, int32_t out_offset,
                  int8_t *out)
{
    const m7nn_range range = {out_offset, -128, 127};
    for (int32_t o = 0; o < outer; o++) {
        for (int32_t i = 0; i < inner; i++) {
            const int8_t *element = in + i;
            int32_t sum = reduced * in_offset;
            for (int32_t n = reduced; n > 0; n--) {
                sum += *element;
                element += inner;
            }
            *out++ = m7nn_out_s8(m7nn_scaled(sum, multiplier, shift), range);
        }
        in += reduced * inner;
    }
}

void m7nn_transpose(const int8_t *in, int32_t size0, int32_t size1, int32_t size2, int32_t size3,
                    int32_t step0, int32_t step1, int32_t step2, int32_t step3, int8_t *out)
{
    for (int32_t a = 0; a < size0; a++) {
        for (int32_t b = 0; b < size1; b++) {
            for (int32_t c = 0; c < size2; c++) {
                const int8_t *element = in + a * step0 + b * step1 + c * step2;
                for (int32_t n = size3; n > 0; n--) {
                    *out++ = *element;
                    element += step3;
                }
            }
        }
    }
}
