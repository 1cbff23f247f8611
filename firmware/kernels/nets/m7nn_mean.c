/* Mean of each channel over an image. */
#include "m7nn_nets.h"

#include "m7dsp.h"

void m7nn_mean(const int8_t *in, int32_t pixels, int32_t ch, int32_t left_shift, int8_t *out)
{
    for (int32_t c = 0; c < ch; c++) {
        const int8_t *pixel = in + c;
        int32_t sum = 0;
        for (int32_t n = pixels; n > 0; n--) {
            sum += *pixel;
            pixel += ch;
        }
        out[c] = (int8_t)m7_ssat8(sum * (1 << left_shift) / pixels);
    }
}
