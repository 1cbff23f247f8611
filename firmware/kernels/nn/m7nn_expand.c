/* Expansion of int8 activations to the int16 operands of SMLAD. */
#include "m7nn_internal.h"

/* M7NN_OPAQUE folds the increment of the target into the first store instead of an ADD per step.
 * (One STRD would need an aligned target.) */

void m7nn_expand(const int8_t *source, int16_t *target, int32_t count)
{
    for (int32_t n = count >> 2; n > 0; n--) {
        uint32_t word = m7_load32(source);
        uint32_t odd = m7_sxtb16(m7_ror(word, 8));
        uint32_t even = m7_sxtb16(word);
        m7_store32(target, m7_pkhbt16(even, odd));
        target += 4;
        M7NN_OPAQUE(target);
        m7_store32(target - 2, m7_pkhtb16(odd, even));
        source += 4;
    }
    for (int32_t n = count & 3; n > 0; n--) {
        *target++ = *source++;
    }
}

void m7nn_expand_reordered(const int8_t *source, int16_t *target, int32_t count)
{
    for (int32_t n = count >> 2; n > 0; n--) {
        uint32_t word = m7_load32(source);
        uint32_t odd = m7_sxtb16(m7_ror(word, 8));
        uint32_t even = m7_sxtb16(word);
        m7_store32(target, even);
        target += 4;
        M7NN_OPAQUE(target);
        m7_store32(target - 2, odd);
        source += 4;
    }
    for (int32_t n = count & 3; n > 0; n--) {
        *target++ = *source++;
    }
}
