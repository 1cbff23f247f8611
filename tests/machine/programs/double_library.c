/* newlib's double precision: text to double and back, and its mathematics. */
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {
    "0", "-0", "1", "0.1", "3.141592653589793238", "-12.75e3", "1e23", "9007199254740993",
    "2.2250738585072011e-308", "4.9e-324", "2.4e-324", "1.7976931348623157e308", "1e309", "-inf",
    "123456789012345678901234567890", "8.5e-7", "0.30000000000000004", "1e-5", "5e-1", "6.02214076e23",
};

static uint64_t bits(double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

int main(void)
{
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        double x = strtod(texts[i], 0);
        printf("strtod %s %016llx %.17g\n", texts[i], bits(x), x);
        printf("printf %f %e %g %.3f %10.4e\n", x, x, x, x, x);
    }
    double sum = 0;
    for (int i = -40; i <= 40; i++) {
        volatile double x = i * 0.37 + 1e-3 * i * i;
        double all[] = {sin(x), cos(x), tan(x), atan(x), exp(x), log(fabs(x) + 0.5), sqrt(fabs(x)),
                        pow(fabs(x), 1.7), fmod(x, 0.7), floor(x), ceil(x), trunc(x), round(x),
                        rint(x), cbrt(x), sinh(x / 4), tanh(x), hypot(x, 2), atan2(x, 3),
                        ldexp(x, i), fma(x, x, -x), fmax(x, 1), (double)(float)x, (double)(int)x,
                        (double)(unsigned)fabs(x), (double)(long long)(x * 1e9)};
        uint64_t hash = 0;
        for (unsigned k = 0; k < sizeof all / sizeof *all; k++) {
            hash = hash * 1000003 ^ bits(all[k]);
            sum += all[k] > 1e6 ? 1e6 : all[k];
        }
        printf("%d %.17g %016llx\n", i, x, hash);
    }
    printf("sum %.17g %016llx\n", sum, bits(sum));
    printf("root %016llx\n", bits(sqrt(2.0)));
    double table[64];
    for (int i = 0; i < 64; i++)
        table[i] = sin(i * 12.9898) * 43758.5453;
    for (int i = 1; i < 64; i++)
        for (int k = i; k > 0 && table[k - 1] > table[k]; k--) {
            double t = table[k];
            table[k] = table[k - 1];
            table[k - 1] = t;
        }
    for (int i = 0; i < 64; i += 9)
        printf("%.6f\n", table[i]);
    return 0;
}
