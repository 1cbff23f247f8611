/* Keyword spotting with a small depthwise-separable network of 8-bit layers: a 3x3 convolution,
 * two pairs of depthwise and pointwise layers, the mean, a classifier. Weights are constants in
 * flash (their values do not matter for time), two activation buffers are used in turn. */
#include "m7nn.h"
#include "m7sim.h"

#define SIDE 12
#define CH 32
#define OUT 12

static const int8_t stem_weights[CH * 9 * 4] = {1, -2, 3}, stem_bias[CH] = {1};
static const int8_t depth1_weights[CH * 9] = {2, 1}, depth1_bias[CH] = {1};
static const int8_t point1_weights[CH * CH] = {3, 2, 1}, point1_bias[CH] = {1};
static const int8_t depth2_weights[CH * 9] = {1, 2}, depth2_bias[CH] = {1};
static const int8_t point2_weights[CH * CH] = {2, 2, 1}, point2_bias[CH] = {1};
static const int8_t class_weights[CH * 9 * OUT] = {1, 1, 2}, class_bias[OUT] = {1};

static int8_t input[SIDE * SIDE * 4], first[SIDE * SIDE * CH], second[SIDE * SIDE * CH];
static int8_t pooled[9 * CH], scores[OUT];
static int16_t scratch[2 * 9 * CH];
volatile int8_t result;

int main(void)
{
    for (unsigned i = 0; i < sizeof input; i++)
        input[i] = (int8_t)(i * 37);
    m7_begin();
    m7nn_conv_fast(input, SIDE, SIDE, 4, stem_weights, CH, 3, 3, 1, 1, 1, 1, stem_bias, 0, 7,
                   first, SIDE, SIDE, scratch);
    m7nn_relu(first, sizeof first);
    m7nn_depthwise(first, SIDE, SIDE, CH, depth1_weights, CH, 3, 3, 1, 1, 1, 1, depth1_bias, 0, 7,
                   second, SIDE, SIDE, scratch);
    m7nn_relu(second, sizeof second);
    m7nn_conv_1x1(second, SIDE, SIDE, CH, point1_weights, CH, 1, 1, 0, 0, 1, 1, point1_bias, 0, 7,
                  first, SIDE, SIDE, scratch);
    m7nn_relu(first, sizeof first);
    m7nn_depthwise(first, SIDE, SIDE, CH, depth2_weights, CH, 3, 3, 1, 1, 1, 1, depth2_bias, 0, 7,
                   second, SIDE, SIDE, scratch);
    m7nn_relu(second, sizeof second);
    m7nn_conv_1x1(second, SIDE, SIDE, CH, point2_weights, CH, 1, 1, 0, 0, 1, 1, point2_bias, 0, 7,
                  first, SIDE, SIDE, scratch);
    m7nn_relu(first, sizeof first);
    m7nn_max_pool(first, SIDE, SIDE, CH, 4, 4, 0, 0, 4, 4, pooled, 3, 3, scratch);
    m7nn_fc_x4(pooled, class_weights, 9 * CH, OUT, class_bias, 0, 7, scores, scratch);
    m7nn_softmax(scores, OUT, scores);
    m7_end();
    result = scores[0];
    return 0;
}
