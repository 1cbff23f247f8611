#pragma once

#include <stdint.h>

static inline __attribute__((always_inline)) int32_t from_header(int32_t value)
{
    if (value > 100) {
        value -= 100;
    }
    return value << 2;
}
