/* LSTM and GRU layers, optimised. */
#include <string.h>

#include "m7nn_internal.h"
#include "m7nn_recurrent.h"

/** What the three kernels share: the frame's vector, and where gates and states lie. */
typedef struct {
    int8_t *joined;  /* input vector, then last output */
    int16_t *vector; /* the same as int16, reordered in fours */
    int16_t *gates;
    int16_t *state;
    int32_t length; /* of joined */
} work_t;

static inline bool shape_ok(int32_t frames, int32_t in_len, int32_t cells, int32_t out_len,
                            int32_t bias_shift, int32_t out_shift, int32_t out_frames)
{
    return frames > 0 && in_len > 0 && cells > 0 && out_len > 0 && (uint32_t)bias_shift < 32u &&
           (uint32_t)out_shift < 32u && (out_frames == 1 || out_frames == frames);
}

/** Divide the buffer, and set states and last outputs to zero. */
static work_t begin(int16_t *buffer, int32_t length, int32_t gates, int32_t cells)
{
    work_t work;
    work.length = length;
    work.joined = (int8_t *)buffer;
    work.vector = buffer + M7NN_EVEN((length + 1) / 2);
    work.gates = work.vector + M7NN_EVEN(length);
    work.state = work.gates + M7NN_EVEN(gates);
    memset(work.joined, 0, (size_t)length);
    memset(work.state, 0, (size_t)cells * sizeof(int16_t));
    return work;
}

static inline int32_t start(const int8_t *bias, int32_t bias_shift, int32_t out_shift)
{
    return m7nn_start(bias != NULL ? *bias : 0, bias_shift, out_shift);
}

/** One row: what is left when the rows do not fill a group. */
static int32_t row_product(const int8_t *weights, const int16_t *vector, int32_t length,
                           int32_t sum)
{
    for (int32_t n = length >> 2; n > 0; n--) {
        uint32_t word = m7_load32(weights);
        sum = m7_smlad(m7_sxtb16(word), m7_load32(vector), sum);
        sum = m7_smlad(m7_sxtb16_ror8(word), m7_load32(vector + 2), sum);
        weights += 4;
        vector += 4;
    }
    for (int32_t n = length & 3; n > 0; n--) {
        sum = m7nn_mac(sum, *weights++, *vector++);
    }
    return sum;
}

/** Rows of weights times a reordered vector, to 16 bits; bias may be NULL. */
static void product(const int8_t *weights, const int16_t *vector, int32_t length, int32_t rows,
                    const int8_t *bias, int32_t bias_shift, int32_t out_shift, int16_t *out)
{
    const int32_t step = bias != NULL ? 1 : 0;
    for (int32_t group = rows >> 2; group > 0; group--) {
        const int16_t *x = vector;
        const int8_t *weights2 = weights + length;
        const int8_t *weights3 = weights2 + length;
        const int8_t *weights4 = weights3 + length;
        int32_t sum1 = start(bias, bias_shift, out_shift);
        int32_t sum2 = start(bias + step, bias_shift, out_shift);
        int32_t sum3 = start(bias + 2 * step, bias_shift, out_shift);
        int32_t sum4 = start(bias + 3 * step, bias_shift, out_shift);
        for (int32_t n = length >> 2; n > 0; n--) {
            uint32_t even = m7_load32(x);
            uint32_t odd = m7_load32(x + 2);
            uint32_t word1 = m7_load32(weights);
            uint32_t word2 = m7_load32(weights2);
            sum1 = m7_smlad(even, m7_sxtb16(word1), sum1);
            sum2 = m7_smlad(even, m7_sxtb16(word2), sum2);
            sum1 = m7_smlad(odd, m7_sxtb16_ror8(word1), sum1);
            sum2 = m7_smlad(odd, m7_sxtb16_ror8(word2), sum2);
            word1 = m7_load32(weights3);
            word2 = m7_load32(weights4);
            sum3 = m7_smlad(even, m7_sxtb16(word1), sum3);
            sum4 = m7_smlad(even, m7_sxtb16(word2), sum4);
            sum3 = m7_smlad(odd, m7_sxtb16_ror8(word1), sum3);
            sum4 = m7_smlad(odd, m7_sxtb16_ror8(word2), sum4);
            x += 4;
            weights += 4;
            weights2 += 4;
            weights3 += 4;
            weights4 += 4;
        }
        for (int32_t n = length & 3; n > 0; n--) {
            int32_t element = *x++;
            sum1 = m7nn_mac(sum1, element, *weights++);
            sum2 = m7nn_mac(sum2, element, *weights2++);
            sum3 = m7nn_mac(sum3, element, *weights3++);
            sum4 = m7nn_mac(sum4, element, *weights4++);
        }
        out[0] = (int16_t)m7_ssat16(sum1 >> out_shift);
        out[1] = (int16_t)m7_ssat16(sum2 >> out_shift);
        out[2] = (int16_t)m7_ssat16(sum3 >> out_shift);
        out[3] = (int16_t)m7_ssat16(sum4 >> out_shift);
        weights = weights4;
        bias += 4 * step;
        out += 4;
    }
    for (int32_t left = rows & 3; left > 0; left--) {
        int32_t sum = row_product(weights, vector, length, start(bias, bias_shift, out_shift));
        *out++ = (int16_t)m7_ssat16(sum >> out_shift);
        weights += length;
        bias += step;
    }
}

/** Table value at x / 4096, to 15 bits behind the point. */
static inline int32_t look_up(const int16_t *table, int32_t x)
{
    const int16_t *at = table + 128 + (x >> 8);
    int32_t low = at[0];
    return low + (((at[1] - low) * (x & 255) + 128) >> 8);
}

static inline int32_t sigmoid(int32_t x)
{
    return look_up(m7nn_sigmoid_table, x);
}

static inline int32_t hyperbolic(int32_t x)
{
    return look_up(m7nn_tanh_table, x);
}

/** f * c + i * g, from 15, 12, 15 and 15 bits behind the point to 12. */
static inline int32_t cell(int32_t forget, int32_t state, int32_t input, int32_t candidate)
{
    return m7_ssat16((forget * state + ((input * candidate) >> 3) + (1 << 14)) >> 15);
}

/** Product of numbers with 15 bits behind the point, to 7. */
static inline int8_t output(int32_t gate, int32_t value)
{
    return (int8_t)m7_ssat8((gate * value + (1 << 22)) >> 23);
}

int32_t m7nn_lstm(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                  const int8_t *weights, const int8_t *bias, int32_t bias_shift,
                  int32_t out_shift, int8_t *out, int32_t out_frames, int16_t *buffer)
{
    if (!shape_ok(frames, in_len, cells, cells, bias_shift, out_shift, out_frames)) {
        return M7NN_BAD_SHAPE;
    }
    const work_t work = begin(buffer, in_len + cells, 4 * cells, cells);
    int8_t *h = work.joined + in_len;
    for (int32_t frame = 1; frame <= frames; frame++) {
        memcpy(work.joined, in, (size_t)in_len);
        m7nn_expand_reordered(work.joined, work.vector, work.length);
        product(weights, work.vector, work.length, 4 * cells, bias, bias_shift, out_shift,
                work.gates);
        const int16_t *gate = work.gates;
        for (int32_t n = 0; n < cells; n++) {
            int32_t input = sigmoid(gate[n]);
            int32_t candidate = hyperbolic(gate[cells + n]);
            int32_t forget = sigmoid(gate[2 * cells + n]);
            int32_t c = cell(forget, work.state[n], input, candidate);
            work.state[n] = (int16_t)c;
            h[n] = output(sigmoid(gate[3 * cells + n]), hyperbolic(c));
        }
        if (out_frames == frames || frame == frames) {
            memcpy(out, h, (size_t)cells);
            out += cells;
        }
        in += in_len;
    }
    return M7NN_OK;
}

/** Gate with the weighted cell state added. */
static inline int32_t peep(int32_t gate, int32_t weight, int32_t state, int32_t shift)
{
    return m7_ssat16(gate + ((weight * state) >> shift));
}

int32_t m7nn_lstm_projected(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                            int32_t out_len, const int8_t *weights, const int8_t *bias,
                            int32_t bias_shift, int32_t out_shift, const int8_t *peepholes,
                            int32_t peephole_shift, const int8_t *projection,
                            int32_t projection_shift, int8_t *out, int32_t out_frames,
                            int16_t *buffer)
{
    if (!shape_ok(frames, in_len, cells, out_len, bias_shift, out_shift, out_frames) ||
        (uint32_t)peephole_shift > 31u || (uint32_t)projection_shift > 31u) {
        return M7NN_BAD_SHAPE;
    }
    const work_t work = begin(buffer, in_len + out_len, 4 * cells, cells);
    int8_t *h = (int8_t *)(work.state + M7NN_EVEN(cells));
    int16_t *expanded = work.state + M7NN_EVEN(cells) + M7NN_EVEN((cells + 1) / 2);
    int16_t *projected = expanded + M7NN_EVEN(cells);
    int8_t *last = work.joined + in_len;
    for (int32_t frame = 1; frame <= frames; frame++) {
        memcpy(work.joined, in, (size_t)in_len);
        m7nn_expand_reordered(work.joined, work.vector, work.length);
        product(weights, work.vector, work.length, 4 * cells, bias, bias_shift, out_shift,
                work.gates);
        const int16_t *gate = work.gates;
        for (int32_t n = 0; n < cells; n++) {
            int32_t c = work.state[n];
            int32_t input = sigmoid(peep(gate[n], peepholes[n], c, peephole_shift));
            int32_t candidate = hyperbolic(gate[cells + n]);
            int32_t forget =
                sigmoid(peep(gate[2 * cells + n], peepholes[cells + n], c, peephole_shift));
            c = cell(forget, c, input, candidate);
            work.state[n] = (int16_t)c;
            int32_t gate_out =
                peep(gate[3 * cells + n], peepholes[2 * cells + n], c, peephole_shift);
            h[n] = output(sigmoid(gate_out), hyperbolic(c));
        }
        m7nn_expand_reordered(h, expanded, cells);
        product(projection, expanded, cells, out_len, NULL, 0, projection_shift, projected);
        for (int32_t n = 0; n < out_len; n++) {
            last[n] = (int8_t)m7_ssat8(projected[n]);
        }
        if (out_frames == frames || frame == frames) {
            memcpy(out, last, (size_t)out_len);
            out += out_len;
        }
        in += in_len;
    }
    return M7NN_OK;
}

int32_t m7nn_gru(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                 const int8_t *weights, const int8_t *bias, int32_t bias_shift,
                 int32_t out_shift, int8_t *out, int32_t out_frames, int16_t *buffer)
{
    if (!shape_ok(frames, in_len, cells, cells, bias_shift, out_shift, out_frames)) {
        return M7NN_BAD_SHAPE;
    }
    const work_t work = begin(buffer, in_len + cells, 3 * cells, cells);
    int8_t *h = work.joined + in_len;
    const int8_t *weights_n = weights + 2 * cells * work.length;
    for (int32_t frame = 1; frame <= frames; frame++) {
        memcpy(work.joined, in, (size_t)in_len);
        m7nn_expand_reordered(work.joined, work.vector, work.length);
        product(weights, work.vector, work.length, 2 * cells, bias, bias_shift, out_shift,
                work.gates);
        for (int32_t n = 0; n < cells; n++) {
            h[n] = output(sigmoid(work.gates[n]), work.state[n]);
        }
        /* The joined vector again, with the reset output; fours may begin before it. */
        m7nn_expand_reordered(work.joined, work.vector, work.length);
        product(weights_n, work.vector, work.length, cells, bias + 2 * cells, bias_shift,
                out_shift, work.gates + 2 * cells);
        for (int32_t n = 0; n < cells; n++) {
            int32_t keep = sigmoid(work.gates[cells + n]);
            int32_t candidate = hyperbolic(work.gates[2 * cells + n]);
            int32_t state = m7_ssat16(
                (keep * work.state[n] + (32768 - keep) * candidate + (1 << 14)) >> 15);
            work.state[n] = (int16_t)state;
            h[n] = (int8_t)m7_ssat8((state + 128) >> 8);
        }
        if (out_frames == frames || frame == frames) {
            memcpy(out, h, (size_t)cells);
            out += cells;
        }
        in += in_len;
    }
    return M7NN_OK;
}
