/* Code at address 0, where debug information of discarded functions points to as well. */
#include <stdint.h>

extern int untyped(int);

int32_t initialised[3] = {11, 22, 33};
int32_t zeroed[5];
const char text[] = "constant";

static inline __attribute__((always_inline)) int32_t twice(int32_t a) { return zeroed[1] + a * 2; }

int discarded_small(int a) { return a + 1; }

int discarded_large(int a)
{
    for (int i = 0; i < 10; i++) {
        a += twice(a) * zeroed[2];
        a ^= initialised[i % 3];
    }
    return a;
}

__attribute__((section(".itcm"), noinline)) int32_t fast(int32_t a)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < a; i++) {
        sum += twice(i) * initialised[i % 3];
    }
    return sum;
}

__attribute__((section(".itcm"), noinline)) int32_t faster(int32_t a)
{
    return twice(a) - 1;
}

static __attribute__((noinline)) int32_t local(int32_t a) { return a * 7 + zeroed[0]; }

int main(void)
{
    zeroed[3] = fast(3) + faster(4) + local(text[1]) + untyped(2);
    return zeroed[3];
}
