/* Predicated double-precision operations, taken and not, between others. */
volatile double a = 1.1, b = -2.5;
volatile int n = 3, result;

__attribute__((noinline)) static double mix(double x, double y, int k)
{
    double r = x;
    for (int i = 0; i < k; i++) {
        r = r > y ? r * x + y : r - y;
        if (r > 3.0)
            r = __builtin_sqrt(r);
    }
    __asm__ volatile("cmp %1, #3\n"
                     "ittet eq\n vaddeq.f64 %P0, %P0, %P2\n addeq %1, #1\n"
                     " vmulne.f64 %P0, %P0, %P2\n vsubeq.f64 %P0, %P0, %P2\n"
                     "cmp %1, #3\n"
                     "ite eq\n vmuleq.f64 %P0, %P2, %P2\n vldrne %P0, [%3]\n"
                     "wfe\n vadd.f64 %P0, %P0, %P0\n yield\n vsub.f64 %P0, %P0, %P2\n"
                     : "+w"(r), "+r"(k)
                     : "w"(y), "r"(&a)
                     : "cc");
    return r;
}

int main(void)
{
    double r = mix(a, b, n);
    r += mix(b, a, n + 1);
    for (int i = 0; i < 5; i++)
        r += mix(r, a, i);
    result = (int)r;
    return result & 0x3f;
}
