/* LSTM and GRU layers, one element at a time, in plain C. */
#include "m7nn_recurrent.h"

static int32_t saturate(int32_t value, int32_t limit)
{
    if (value >= limit) {
        return limit - 1;
    }
    return value < -limit ? -limit : value;
}

static int32_t shape_ok(int32_t frames, int32_t in_len, int32_t cells, int32_t out_len,
                        int32_t bias_shift, int32_t out_shift, int32_t out_frames)
{
    return frames >= 1 && in_len >= 1 && cells >= 1 && out_len >= 1 && bias_shift >= 0 &&
           bias_shift <= 31 && out_shift >= 0 && out_shift <= 31 &&
           (out_frames == 1 || out_frames == frames);
}

/** Interpolate between the entries of a table. */
static int32_t look_up(const int16_t *table, int32_t x)
{
    int32_t at = (x + 32768) / 256;
    int32_t rest = (x + 32768) % 256;
    int32_t rise = (table[at + 1] - table[at]) * rest;
    return table[at] + ((rise + 128) >> 8);
}

/** One gate: a row of weights times the input vector and the last output. */
static int32_t gate(const int8_t *in, int32_t in_len, const int8_t *last, int32_t last_len,
                    const int8_t *row, int32_t bias, int32_t bias_shift, int32_t out_shift)
{
    uint32_t sum = (uint32_t)bias << bias_shift;
    if (out_shift > 0) {
        sum += 1u << (out_shift - 1);
    }
    for (int32_t n = 0; n < in_len; n++) {
        sum += (uint32_t)(in[n] * row[n]);
    }
    for (int32_t n = 0; n < last_len; n++) {
        sum += (uint32_t)(last[n] * row[in_len + n]);
    }
    return saturate((int32_t)sum >> out_shift, 32768);
}

static int32_t cell(int32_t forget, int32_t state, int32_t input, int32_t candidate)
{
    return saturate((forget * state + ((input * candidate) >> 3) + 16384) >> 15, 32768);
}

static int32_t output(int32_t gate_value, int32_t value)
{
    return saturate((gate_value * value + 4194304) >> 23, 128);
}

int32_t m7nn_lstm_naive(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                        const int8_t *weights, const int8_t *bias, int32_t bias_shift,
                        int32_t out_shift, int8_t *out, int32_t out_frames, int16_t *buffer)
{
    if (!shape_ok(frames, in_len, cells, cells, bias_shift, out_shift, out_frames)) {
        return M7NN_BAD_SHAPE;
    }
    int16_t *gates = buffer;
    int16_t *state = gates + 4 * cells;
    int8_t *last = (int8_t *)(state + cells);
    for (int32_t n = 0; n < cells; n++) {
        state[n] = 0;
        last[n] = 0;
    }
    for (int32_t t = 0; t < frames; t++) {
        for (int32_t row = 0; row < 4 * cells; row++) {
            gates[row] = (int16_t)gate(in + t * in_len, in_len, last, cells,
                                       weights + row * (in_len + cells), bias[row], bias_shift,
                                       out_shift);
        }
        for (int32_t n = 0; n < cells; n++) {
            int32_t input = look_up(m7nn_sigmoid_table, gates[n]);
            int32_t candidate = look_up(m7nn_tanh_table, gates[cells + n]);
            int32_t forget = look_up(m7nn_sigmoid_table, gates[2 * cells + n]);
            state[n] = (int16_t)cell(forget, state[n], input, candidate);
            last[n] = (int8_t)output(look_up(m7nn_sigmoid_table, gates[3 * cells + n]),
                                     look_up(m7nn_tanh_table, state[n]));
        }
        for (int32_t n = 0; n < cells; n++) {
            out[(out_frames == 1 ? 0 : t) * cells + n] = last[n];
        }
    }
    return M7NN_OK;
}

static int32_t peep(int32_t gate_value, int32_t weight, int32_t state, int32_t shift)
{
    return saturate(gate_value + ((weight * state) >> shift), 32768);
}

int32_t m7nn_lstm_projected_naive(const int8_t *in, int32_t frames, int32_t in_len,
                                  int32_t cells, int32_t out_len, const int8_t *weights,
                                  const int8_t *bias, int32_t bias_shift, int32_t out_shift,
                                  const int8_t *peepholes, int32_t peephole_shift,
                                  const int8_t *projection, int32_t projection_shift,
                                  int8_t *out, int32_t out_frames, int16_t *buffer)
{
    if (!shape_ok(frames, in_len, cells, out_len, bias_shift, out_shift, out_frames) ||
        peephole_shift < 0 || peephole_shift > 31 || projection_shift < 0 ||
        projection_shift > 31) {
        return M7NN_BAD_SHAPE;
    }
    int16_t *gates = buffer;
    int16_t *state = gates + 4 * cells;
    int8_t *h = (int8_t *)(state + cells);
    int8_t *last = h + cells;
    for (int32_t n = 0; n < cells; n++) {
        state[n] = 0;
    }
    for (int32_t n = 0; n < out_len; n++) {
        last[n] = 0;
    }
    for (int32_t t = 0; t < frames; t++) {
        for (int32_t row = 0; row < 4 * cells; row++) {
            gates[row] = (int16_t)gate(in + t * in_len, in_len, last, out_len,
                                       weights + row * (in_len + out_len), bias[row], bias_shift,
                                       out_shift);
        }
        for (int32_t n = 0; n < cells; n++) {
            int32_t c = state[n];
            int32_t i = peep(gates[n], peepholes[n], c, peephole_shift);
            int32_t f = peep(gates[2 * cells + n], peepholes[cells + n], c, peephole_shift);
            int32_t candidate = look_up(m7nn_tanh_table, gates[cells + n]);
            c = cell(look_up(m7nn_sigmoid_table, f), c, look_up(m7nn_sigmoid_table, i), candidate);
            int32_t o = peep(gates[3 * cells + n], peepholes[2 * cells + n], c, peephole_shift);
            state[n] = (int16_t)c;
            h[n] = (int8_t)output(look_up(m7nn_sigmoid_table, o), look_up(m7nn_tanh_table, c));
        }
        for (int32_t row = 0; row < out_len; row++) {
            int32_t sum = gate(h, cells, h, 0, projection + row * cells, 0, 0, projection_shift);
            last[row] = (int8_t)saturate(sum, 128);
            out[(out_frames == 1 ? 0 : t) * out_len + row] = last[row];
        }
    }
    return M7NN_OK;
}

int32_t m7nn_gru_naive(const int8_t *in, int32_t frames, int32_t in_len, int32_t cells,
                       const int8_t *weights, const int8_t *bias, int32_t bias_shift,
                       int32_t out_shift, int8_t *out, int32_t out_frames, int16_t *buffer)
{
    if (!shape_ok(frames, in_len, cells, cells, bias_shift, out_shift, out_frames)) {
        return M7NN_BAD_SHAPE;
    }
    const int32_t length = in_len + cells;
    int16_t *gates = buffer;
    int16_t *state = gates + 2 * cells;
    int8_t *last = (int8_t *)(state + cells);
    int8_t *reset = last + cells;
    for (int32_t n = 0; n < cells; n++) {
        state[n] = 0;
        last[n] = 0;
    }
    for (int32_t t = 0; t < frames; t++) {
        const int8_t *x = in + t * in_len;
        for (int32_t row = 0; row < 2 * cells; row++) {
            gates[row] = (int16_t)gate(x, in_len, last, cells, weights + row * length, bias[row],
                                       bias_shift, out_shift);
        }
        for (int32_t n = 0; n < cells; n++) {
            reset[n] = (int8_t)output(look_up(m7nn_sigmoid_table, gates[n]), state[n]);
        }
        for (int32_t n = 0; n < cells; n++) {
            int32_t row = 2 * cells + n;
            int32_t sum = gate(x, in_len, reset, cells, weights + row * length, bias[row],
                               bias_shift, out_shift);
            int32_t candidate = look_up(m7nn_tanh_table, sum);
            int32_t keep = look_up(m7nn_sigmoid_table, gates[cells + n]);
            int32_t mixed = keep * state[n] + (32768 - keep) * candidate;
            state[n] = (int16_t)saturate((mixed + 16384) >> 15, 32768);
            last[n] = (int8_t)saturate((state[n] + 128) >> 8, 128);
            out[(out_frames == 1 ? 0 : t) * cells + n] = last[n];
        }
    }
    return M7NN_OK;
}
