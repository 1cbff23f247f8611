/* A newlib battery whose output must be the same on every machine. */
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed = 1;
static uint32_t next(void) { return seed = seed * 1664525u + 1013904223u; }
static int ascending(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}
static uint32_t hash(const void *data, size_t n)
{
    uint32_t h = 2166136261u;
    for (const unsigned char *p = data; n--; p++)
        h = (h ^ *p) * 16777619u;
    return h;
}

static void floats(void)
{
    static const double values[] = {0, -0.0, 1, -1.5, 3.141592653589793, 1e-300, 1e300, 123456.789,
                                    2.5, 0.1, DBL_MIN, DBL_MAX, 5e-324, INFINITY, -INFINITY};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        printf("%g %.17g %.3f %e %10.2e|\n", values[i], values[i],
               fabs(values[i]) < 1e20 ? values[i] : 0, values[i], values[i]);
    printf("%f %F %a %5.1f%% %-12g| %+g\n", NAN, INFINITY, 0.15625, 99.95, 1.25, 2.0);
}

static void parsing(void)
{
    static const char *const texts[] = {"1.5", "-2e-3", "0x1.8p3", "1e400", "nan", "inf", "4.9e-324",
                                        "12345678901234567890", ".5abc", "", "1e-400"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *end;
        errno = 0;
        double d = strtod(texts[i], &end);
        printf("%s -> %.17g, %d left, errno %d\n", texts[i], d, (int)strlen(end), errno);
    }
    printf("%ld %lu %lld\n", strtol("-77xyz", 0, 10), strtoul("0xfFfF", 0, 16),
           strtoll("-9223372036854775808", 0, 10));
    int a, b;
    float c;
    int n = sscanf("12 -7 2.25 rest", "%d %d %f", &a, &b, &c);
    printf("%d %d %d %g\n", n, a, b, (double)c);
}

static void single_precision(void)
{
    float sum = 0;
    for (int i = -20; i <= 20; i++) {
        volatile float x = (float)i * 0.37f;
        float s = sinf(x), c = cosf(x), t = tanf(x), e = expf(x), r = sqrtf(fabsf(x));
        float l = logf(fabsf(x) + 0.1f), p = powf(fabsf(x), 1.7f), a = atan2f(x, 1.3f);
        float m = fmaf(x, 1.1f, -0.3f), f = fmodf(x, 0.7f), h = tanhf(x);
        printf("%08" PRIx32 "\n", hash((float[]){s, c, t, e, r, l, p, a, m, f, h}, 44));
        sum += s + c + floorf(x) + ceilf(x) + roundf(x) + truncf(x) + rintf(x) + (float)lrintf(x);
    }
    printf("%.9g\n", (double)sum);
}

static void double_precision(void)
{
    for (int i = 1; i < 12; i++) {
        volatile double x = i * 0.77 - 4;
        double v[] = {sin(x), cos(x), exp(x), log(fabs(x)), sqrt(fabs(x)), pow(fabs(x), 2.3), x / 7,
                      (double)(int64_t)(x * 1e9), (double)(float)x, floor(x), fmod(x, 0.3)};
        printf("%08" PRIx32 "\n", hash(v, sizeof v));
    }
}

static void integers(void)
{
    uint64_t total = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t a = (uint64_t)next() << 32 | next(), b = (uint64_t)next() << (i % 32) | 1;
        int64_t c = (int64_t)a, d = (int64_t)b | 1;
        total = total * 31 + a / b + a % b + (uint64_t)(c / d) + (uint64_t)(c % d) + (a << (i % 64)) +
                (a >> (i % 64)) + (uint64_t)(c >> (i % 64)) + (uint64_t)__builtin_popcountll(a);
        volatile int32_t e = (int32_t)a, f = (int32_t)(b | 1);
        total += (uint64_t)(e / f) + (uint64_t)((int64_t)e * f) + (uint32_t)__builtin_clz((uint32_t)f);
    }
    printf("%016llx %lld %llu\n", (unsigned long long)total, (long long)-5 / 2, ~0ull / 10);
}

static void memory(void)
{
    static char a[600], b[600];
    for (int i = 0; i < 600; i++)
        a[i] = (char)next();
    for (int from = 0; from < 9; from++)
        for (int to = 0; to < 9; to++) {
            int n = (int)(next() % 500);
            memcpy(b + to, a + from, (size_t)n);
            memmove(a + to, a + from, (size_t)n);
            memset(b + n / 2, to, (size_t)(n / 3));
            printf("%08" PRIx32 " %d %d\n", hash(a, 600) ^ hash(b, 600), memcmp(a, b, 600) > 0,
                   strncmp(a, b, 100) > 0);
        }
    char text[100] = "";
    strcat(strcpy(text, "one,two,,three"), ",four");
    for (char *part = strtok(text, ","); part; part = strtok(0, ","))
        printf("<%s:%d>", part, (int)strlen(part));
    puts(strstr("needle in haystack", "in"));
}

static void sorting(void)
{
    static int values[1000];
    for (int i = 0; i < 1000; i++)
        values[i] = (int)next();
    qsort(values, 1000, sizeof *values, ascending);
    int key = values[357];
    int *found = bsearch(&key, values, 1000, sizeof *values, ascending);
    printf("%08" PRIx32 " %d\n", hash(values, sizeof values), (int)(found - values));
}

static void heap(void)
{
    void *kept[40] = {0};
    unsigned ok = 0;
    for (int i = 0; i < 400; i++) {
        unsigned slot = next() % 40;
        free(kept[slot]);
        kept[slot] = malloc(next() % 200 + 1);
        ok += kept[slot] != 0;
        if (kept[slot])
            memset(kept[slot], i, 1);
    }
    printf("%u of 400, then %s\n", ok, malloc(1 << 20) ? "too much" : "NULL");
}

int main(int argc, char **argv)
{
    printf("%d arguments:", argc - 1);
    for (int i = 1; i < argc; i++)
        printf(" [%s]", argv[i]);
    puts("");
    floats();
    parsing();
    single_precision();
    double_precision();
    integers();
    memory();
    sorting();
    heap();
    fflush(stdout);
    return 42;
}
