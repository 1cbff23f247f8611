/* A motor's control loop: once a tick each of many functions runs for a short while, so their code
 * together is more than the I-cache holds, and so are tables and states for the D-cache. */
#include "m7sim.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TICKS 60
#define ALONE __attribute__((noinline)) static

typedef struct {
    float kp, ki, kd, integral, last, low, high;
} pid_t_;

typedef struct {
    float b0, b1, b2, a1, a2, x1, x2, y1, y2;
} biquad_t;

#define X4(f, i) f(i), f(i + 1), f(i + 2), f(i + 3)
#define X16(f, i) X4(f, i), X4(f, i + 4), X4(f, i + 8), X4(f, i + 12)
#define X64(f, i) X16(f, i), X16(f, i + 16), X16(f, i + 32), X16(f, i + 48)
#define X256(f, i) X64(f, i), X64(f, i + 64), X64(f, i + 128), X64(f, i + 192)
#define WAVE(i) ((float)((((i) * 5 & 255) - 128) * ((i) & 7)) / 1024.0f)
#define MIXED(i) (uint16_t)((i) * 40503u ^ (i) << 7)

static const float sine[1024] = {X256(WAVE, 0), X256(WAVE, 256), X256(WAVE, 512), X256(WAVE, 768)};
static const float cogging[512] = {X256(WAVE, 1), X256(WAVE, 257)};
static const uint16_t crc_table[256] = {X256(MIXED, 0)};
static const float temperature[64] = {X64(WAVE, 3)};

static pid_t_ speed_loop = {.kp = 0.5f, .ki = 0.01f, .low = -10, .high = 10};
static pid_t_ d_loop = {.kp = 1.5f, .ki = 0.05f, .low = -12, .high = 12};
static pid_t_ q_loop = {.kp = 1.5f, .ki = 0.05f, .low = -12, .high = 12};
static biquad_t filters[8];
static float state[4], covariance[4][4], gain[4];
static float scope[4][256];
static uint8_t frame[16], received[64], log_ring[4096];
static float medians[5][7];
static uint32_t faults, log_at, angle_raw;
volatile float result;

ALONE float regulate(pid_t_ *p, float error)
{
    float derivative = error - p->last;
    p->last = error;
    p->integral += p->ki * error;
    if (p->integral > p->high)
        p->integral = p->high;
    if (p->integral < p->low)
        p->integral = p->low;
    float out = p->kp * error + p->integral + p->kd * derivative;
    return out > p->high ? p->high : out < p->low ? p->low : out;
}

ALONE float smooth(biquad_t *f, float x)
{
    float y = f->b0 * x + f->b1 * f->x1 + f->b2 * f->x2 - f->a1 * f->y1 - f->a2 * f->y2;
    f->x2 = f->x1, f->x1 = x, f->y2 = f->y1, f->y1 = y;
    return y;
}

ALONE void park(float a, float b, uint32_t angle, float *d, float *q)
{
    float s = sine[angle & 1023], c = sine[(angle + 256) & 1023];
    *d = a * c + b * s;
    *q = b * c - a * s;
}

ALONE void modulate(float a, float b, float duty[3])
{
    float x = -0.5f * a + 0.8660254f * b, y = -0.5f * a - 0.8660254f * b;
    float high = a > x ? a : x, low = a < x ? a : x;
    high = y > high ? y : high;
    low = y < low ? y : low;
    float middle = -0.5f * (high + low);
    duty[0] = 0.5f + (a + middle) / 24.0f;
    duty[1] = 0.5f + (x + middle) / 24.0f;
    duty[2] = 0.5f + (y + middle) / 24.0f;
    for (int i = 0; i < 3; i++)
        duty[i] = duty[i] < 0 ? 0 : duty[i] > 1 ? 1 : duty[i];
}

ALONE void predict(float dt) /* of the observer, unrolled as code generators write it */
{
    float (*p)[4] = covariance;
    state[0] += dt * state[1] + 0.5f * dt * dt * state[2];
    state[1] += dt * (state[2] - 0.01f * state[1] + state[3]);
    state[2] *= 0.999f;
#define ROW(i)                                                                                    \
    p[i][0] += dt * (p[i][1] + 0.5f * dt * p[i][2]) + 1e-4f;                                      \
    p[i][1] += dt * (p[i][2] - 0.01f * p[i][1] + p[i][3]);                                        \
    p[i][2] = 0.999f * p[i][2] + 1e-5f;                                                           \
    p[i][3] = p[i][3] * 0.9999f + 1e-6f;
    ROW(0) ROW(1) ROW(2) ROW(3)
}

ALONE void correct(float measured)
{
    float (*p)[4] = covariance;
    float weight = 1.0f / (p[0][0] + 0.05f), error = measured - state[0];
#define GAIN(i) gain[i] = p[i][0] * weight, state[i] += gain[i] * error;
    GAIN(0) GAIN(1) GAIN(2) GAIN(3)
#define SHRINK(i)                                                                                 \
    p[i][0] -= gain[i] * p[0][0], p[i][1] -= gain[i] * p[0][1];                                   \
    p[i][2] -= gain[i] * p[0][2], p[i][3] -= gain[i] * p[0][3];
    SHRINK(3) SHRINK(2) SHRINK(1) SHRINK(0)
}

ALONE float median(float window[7], float x)
{
    float s[7];
    memmove(window, window + 1, 6 * sizeof *window);
    window[6] = x;
    memcpy(s, window, sizeof s);
    for (int i = 1; i < 7; i++)
        for (int k = i; k > 0 && s[k] < s[k - 1]; k--) {
            float t = s[k];
            s[k] = s[k - 1], s[k - 1] = t;
        }
    return s[3];
}

ALONE uint16_t check(const uint8_t *data, int bytes)
{
    uint16_t c = 0xFFFF;
    while (bytes--)
        c = (uint16_t)(c << 8) ^ crc_table[(c >> 8 ^ *data++) & 255];
    return c;
}

ALONE void send(float speed, float torque, float heat)
{
    const float scaled[3] = {speed * 100, torque * 1000, heat * 10};
    for (int i = 0; i < 3; i++) {
        int32_t v = (int32_t)scaled[i];
        v = v > 32767 ? 32767 : v < -32768 ? -32768 : v;
        frame[2 * i] = (uint8_t)v, frame[2 * i + 1] = (uint8_t)(v >> 8);
    }
    frame[6] = (uint8_t)faults;
    uint16_t c = check(frame, 14);
    frame[14] = (uint8_t)c, frame[15] = (uint8_t)(c >> 8);
    memcpy(log_ring + log_at, frame, sizeof frame);
    log_at = (log_at + sizeof frame) % sizeof log_ring;
}

ALONE float receive(uint32_t tick)
{
    for (int i = 0; i < 62; i++)
        received[i] = (uint8_t)(tick * 7 + (uint32_t)i);
    uint16_t c = check(received, 62);
    switch (received[c & 31] & 7) {
    case 0: return 20.0f;
    case 1: return 0.5f * (float)received[1];
    case 2: speed_loop.kp *= 0.999f; return 10.0f;
    case 3: speed_loop.ki *= 1.001f; return 12.0f;
    case 4: faults &= ~1u; return 8.0f;
    case 5: return -0.25f * (float)received[2];
    default: return 15.0f;
    }
}

ALONE float heat_of(float volts)
{
    float at = volts < 0 ? 0 : volts > 62 ? 62 : volts;
    int i = (int)at;
    return temperature[i] + (at - (float)i) * (temperature[i + 1] - temperature[i]);
}

ALONE void watch(float current, float speed, float heat)
{
    uint32_t now = 0;
    now |= (uint32_t)(fabsf(current) > 11.0f) << 0;
    now |= (uint32_t)(fabsf(speed) > 500.0f) << 1;
    now |= (uint32_t)(heat > 90.0f) << 2;
    now |= (uint32_t)(isnan(current) || isnan(speed)) << 3;
    faults = (faults | now) & 0xFF;
}

ALONE void record(uint32_t tick, float a, float b, float c, float d)
{
    scope[0][tick & 255] = a, scope[1][tick & 255] = b;
    scope[2][tick & 255] = c, scope[3][tick & 255] = d;
}

int main(void)
{
    for (int i = 0; i < 8; i++)
        filters[i] = (biquad_t){.b0 = 0.2f, .b1 = 0.4f, .b2 = 0.2f, .a1 = -0.3f, .a2 = 0.1f};
    float d, q, duty[3], speed = 0;
    m7_begin();
    for (uint32_t tick = 0; tick < TICKS; tick++) {
        float in[4];
        angle_raw += 17 + (uint32_t)speed % 5;
        for (int i = 0; i < 4; i++)
            in[i] = median(medians[i], smooth(&filters[i], (float)(tick * 37 % 101 + (uint32_t)i)));
        park(in[0], in[1], angle_raw, &d, &q);
        predict(1e-3f);
        correct((float)(angle_raw & 1023) + cogging[angle_raw & 511]);
        speed = smooth(&filters[4], state[1]);
        float want = regulate(&speed_loop, receive(tick) - speed);
        float vd = regulate(&d_loop, -d), vq = regulate(&q_loop, want - q);
        park(vd, vq, 0u - angle_raw, &d, &q);
        modulate(d, q, duty);
        float heat = median(medians[4], heat_of(smooth(&filters[5], in[2])));
        watch(in[0], speed, heat);
        send(speed, want, heat);
        record(tick, duty[0], duty[1], duty[2], speed);
    }
    m7_end();
    result = speed;
    return 0;
}
