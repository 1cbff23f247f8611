/* Windows of the poolings, clipped to the image. */
#ifndef M7NN_POOL_SHAPE_H
#define M7NN_POOL_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

static inline int32_t m7nn_window_start(int32_t index, int32_t stride, int32_t pad)
{
    int32_t start = index * stride - pad;
    return start > 0 ? start : 0;
}

static inline int32_t m7nn_window_stop(int32_t index, int32_t stride, int32_t pad, int32_t kernel,
                                       int32_t size)
{
    int32_t stop = index * stride - pad + kernel;
    return stop < size ? stop : size;
}

/** Sizes above 0, and a pixel of the image in every window: in the first and in the last. */
static inline bool m7nn_pool_shape_ok(int32_t in_x, int32_t in_y, int32_t ch, int32_t kernel_x,
                                      int32_t kernel_y, int32_t pad_x, int32_t pad_y,
                                      int32_t stride_x, int32_t stride_y, int32_t out_x,
                                      int32_t out_y)
{
    return in_x > 0 && in_y > 0 && ch > 0 && kernel_x > 0 && kernel_y > 0 && pad_x >= 0 &&
           pad_y >= 0 && stride_x > 0 && stride_y > 0 && out_x > 0 && out_y > 0 &&
           pad_x < kernel_x && pad_y < kernel_y && (out_x - 1) * stride_x - pad_x < in_x &&
           (out_y - 1) * stride_y - pad_y < in_y;
}

/** Sums of up to 256 int8 values fit int16. */
static inline bool m7nn_ave_pool_sides_ok(int32_t kernel_x, int32_t kernel_y)
{
    return kernel_x <= 256 && kernel_y <= 256;
}

#endif /* M7NN_POOL_SHAPE_H */
