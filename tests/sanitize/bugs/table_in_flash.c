/* Caches a result in a table that lies in flash. */
#include <stdint.h>

static const int32_t squares[4] = {0, 1, 4, 0};

int32_t table_in_flash(int32_t n)
{
    const volatile int32_t *known = squares;
#ifdef FIXED
    static int32_t last;
    last = n * n;
    return known[n & 3] ? known[n & 3] : last;
#else
    *(volatile int32_t *)&known[n & 3] = n * n; /* BUG: code_write */
    return known[n & 3];
#endif
}
