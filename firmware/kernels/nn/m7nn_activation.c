/* Rectifier, addition and softmax, optimised. */
#include "m7nn_internal.h"

void m7nn_relu(int8_t *data, int32_t length)
{
    for (int32_t n = length >> 2; n > 0; n--) {
        uint32_t word = m7_load32(data);
        /* Sign bits become bytes of 1, and 0 - 1 the mask 0xff. */
        uint32_t mask = m7_qsub8(0, m7_ror(word & 0x80808080u, 7));
        m7_store32(data, word & ~mask);
        data += 4;
    }
    for (int32_t n = length & 3; n > 0; n--) {
        if (*data < 0) {
            *data = 0;
        }
        data++;
    }
}

void m7nn_add(const int8_t *in, const int8_t *in2, int32_t length, int8_t *out)
{
    for (int32_t n = length >> 2; n > 0; n--) {
        m7_store32(out, m7_qadd8(m7_load32(in), m7_load32(in2)));
        in += 4;
        in2 += 4;
        out += 4;
    }
    for (int32_t n = length & 3; n > 0; n--) {
        *out++ = (int8_t)m7_ssat8(*in++ + *in2++);
    }
}

void m7nn_softmax(const int8_t *in, int32_t length, int8_t *out)
{
    if (length <= 0) {
        return;
    }
    int32_t base = -128;
    for (int32_t i = 0; i < length; i++) {
        if (in[i] > base) {
            base = in[i];
        }
    }
    base -= 8; /* terms below 2^-8 of the largest are left out */
    uint32_t sum = 0;
    for (int32_t i = 0; i < length; i++) {
        if (in[i] > base) {
            sum += 1u << m7_usat5(in[i] - base);
        }
    }
    const int32_t scale = (int32_t)(0x100000u / sum);
    for (int32_t i = 0; i < length; i++) {
        if (in[i] > base) {
            out[i] = (int8_t)m7_ssat8(scale >> m7_usat5(13 + base - in[i]));
        } else {
            out[i] = 0;
        }
    }
}
