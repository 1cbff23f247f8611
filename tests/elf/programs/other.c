/* A second unit whose functions are all discarded but one, with a static of the same name. */
#include <stdint.h>

extern int32_t initialised[3];

static __attribute__((noinline)) int32_t local(int32_t a) { return a * 9 + initialised[0]; }

int32_t discarded_too(int32_t a) { return a * 3; }

__attribute__((used)) int32_t kept(int32_t a) { return local(a) + 1; }
