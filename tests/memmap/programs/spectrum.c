/* Features of sound: window, 256-point FFT in single precision, mel bands, logarithm, cosine
 * transform; four frames. Window, twiddle factors, band weights and cosines are constants in
 * flash, made by the compiler's arithmetic on a grid (their values do not matter for time). */
#include "m7sim.h"

#include <math.h>
#include <stdint.h>

#define N 256
#define BANDS 20
#define FEATURES 10
#define FRAMES 6

#define X4(f, i) f(i), f(i + 1), f(i + 2), f(i + 3)
#define X16(f, i) X4(f, i), X4(f, i + 4), X4(f, i + 8), X4(f, i + 12)
#define X64(f, i) X16(f, i), X16(f, i + 16), X16(f, i + 32), X16(f, i + 48)
#define X256(f, i) X64(f, i), X64(f, i + 64), X64(f, i + 128), X64(f, i + 192)
#define GRID(i) ((float)(((i) * 73 & 255) - 128) / 128.0f)
#define REVERSED(i)                                                                               \
    (uint8_t)(((i) & 1) << 7 | ((i) & 2) << 5 | ((i) & 4) << 3 | ((i) & 8) << 1 | ((i) & 16) >> 1 | \
              ((i) & 32) >> 3 | ((i) & 64) >> 5 | ((i) & 128) >> 7)

static const float window[N] = {X256(GRID, 0)};
static const float twiddles[N] = {X256(GRID, 1)};
static const uint8_t reversed[N] = {X256(REVERSED, 0)};
static const float band_weights[BANDS * 12] = {X64(GRID, 2), X64(GRID, 66)};
static const uint8_t band_first[BANDS] = {0, 2, 4, 6, 9, 12, 15, 19, 23, 28, 33, 39, 46, 53, 61};
static const float cosines[FEATURES * BANDS] = {X64(GRID, 3), X64(GRID, 67), X64(GRID, 131)};

static int16_t samples[N * (FRAMES + 1) / 2];
static float re[N], im[N], power[N / 2], bands[BANDS], features[FRAMES * FEATURES];
static float smoothed[N / 2];
volatile float result;

__attribute__((noinline)) static void frame_in(const int16_t *from)
{
    for (int i = 0; i < N; i++) {
        re[reversed[i]] = window[i] * (float)from[i];
        im[i] = 0.0f;
    }
}

__attribute__((noinline)) static void transform(void)
{
    for (int size = 2; size <= N; size *= 2) {
        int half = size / 2, step = N / size;
        for (int k = 0; k < half; k++) {
            float c = twiddles[k * step], s = twiddles[N / 2 + k * step / 2];
            for (int i = k; i < N; i += size) {
                float tr = c * re[i + half] - s * im[i + half];
                float ti = c * im[i + half] + s * re[i + half];
                re[i + half] = re[i] - tr, im[i + half] = im[i] - ti;
                re[i] += tr, im[i] += ti;
            }
        }
    }
}

__attribute__((noinline)) static void powers(void)
{
    for (int i = 0; i < N / 2; i++) {
        power[i] = re[i] * re[i] + im[i] * im[i];
        smoothed[i] += 0.125f * (power[i] - smoothed[i]);
    }
}

__attribute__((noinline)) static void mel(void)
{
    for (int b = 0; b < BANDS; b++) {
        float sum = 1.0f;
        for (int i = 0; i < 12; i++)
            sum += fabsf(band_weights[b * 12 + i]) * power[band_first[b] + i];
        bands[b] = logf(sum);
    }
}

__attribute__((noinline)) static void cosine(float *to)
{
    for (int f = 0; f < FEATURES; f++) {
        float sum = 0.0f;
        for (int b = 0; b < BANDS; b++)
            sum += cosines[f * BANDS + b] * bands[b];
        to[f] = sum;
    }
}

int main(void)
{
    for (unsigned i = 0; i < sizeof samples / sizeof *samples; i++)
        samples[i] = (int16_t)((i * 2654435761u) >> 20);
    m7_begin();
    for (int f = 0; f < FRAMES; f++) {
        frame_in(samples + f * N / 2);
        transform();
        powers();
        mel();
        cosine(features + f * FEATURES);
    }
    m7_end();
    result = features[0];
    return 0;
}
