/* Unusual, but proper ways to get from one function to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline, noclone))

extern int32_t assembly_entry(int32_t x); /* helpers.S */

static jmp_buf inner, outer;
static volatile int sink;

NOINLINE static void dive(int depth)
{
    volatile int ballast[3] = {depth, depth + 1, depth + 2};
    float f[20];
    for (int i = 0; i < 20; i++)
        f[i] = (float)(depth + i) * 0.5f;
    if (depth == 0)
        longjmp(sink & 1 ? inner : outer, 3);
    dive(depth - 1);
    for (int i = 0; i < 20; i++)
        sink += (int)f[i];
    sink += ballast[1];
}

NOINLINE static int jumps_back(int depth)
{
    volatile int round = 0;
    int a = depth * 3, b = depth * 5, c = depth * 7;
    if (setjmp(inner) == 0)
        dive(depth);
    else
        round++;
    if (round < 3)
        dive(depth / 2);
    return a + b + c + round;
}

NOINLINE static int tail_b(int n);
NOINLINE static int tail_a(int n) { return n > 0 ? tail_b(n - 1) : 1; }
NOINLINE static int tail_b(int n)
{
    sink += printf("%s", "");
    return n > 0 ? tail_a(n - 1) : 2;
}

NOINLINE static int sum_of(int count, ...)
{
    va_list list;
    int sum = 0;
    va_start(list, count);
    for (int i = 0; i < count; i++)
        sum += va_arg(list, int);
    va_end(list);
    return sum;
}

typedef struct {
    int v[12];
} big_t;

NOINLINE static big_t by_value(big_t b, int n)
{
    b.v[n % 12] += n;
    return b;
}

NOINLINE static int many(int a, int b, int c, int d, int e, int f, double g, float h, int i)
{
    return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + (int)g + (int)h + i;
}

NOINLINE static int small_switch(int n)
{
    switch (n) {
    case 0: return sink + 3;
    case 1: return printf("%s", "");
    case 2: return 77 - sink;
    case 3: return sum_of(3, 1, 2, 3);
    case 4: return sink * 5;
    case 5: return 9;
    case 6: sink++; return 1;
    default: return -1;
    }
}

NOINLINE static int threaded(const uint8_t *code)
{
    static const void *const labels[] = {&&more, &&less, &&twice, &&done};
    int x = 1;
#define NEXT goto *labels[*code++]
    NEXT;
more:
    x += 5;
    NEXT;
less:
    x -= 2;
    NEXT;
twice:
    x *= 2;
    NEXT;
done:
    return x;
}

NOINLINE static int ackermann(int m, int n)
{
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

NOINLINE static int on_stack(int n)
{
    volatile int32_t array[n];
    for (int i = 0; i < n; i++)
        array[i] = i;
    return n > 2 ? array[n / 2] + on_stack(n / 2) : 0;
}

__attribute__((section(".itcm.far"), noinline)) int far_function(int x)
{
    return x > 100 ? small_switch(x % 8) : x + 1;
}

__attribute__((naked, noinline)) static int32_t naked(int32_t x)
{
    __asm__ volatile("push {r4, lr}\n"
                     "mov r4, r0\n"
                     "bl 1f\n"
                     "add r0, r0, r4\n"
                     "pop {r4, pc}\n"
                     "1: adds r0, #1\n"
                     "bx lr\n");
}

int main(void)
{
    static int (*const table[])(int) = {tail_a, tail_b, small_switch, far_function, on_stack};
    for (int i = 0; i < 40; i++)
        sink += table[i % 5](1 + i * 3) + small_switch(i % 9);
    for (sink = 0; sink < 2; sink++)
        if (setjmp(outer) == 0)
            printf("%d\n", jumps_back(4));
    big_t big = {{0}};
    for (int i = 0; i < 5; i++)
        big = by_value(big, i);
    sink = big.v[3] + many(1, 2, 3, 4, 5, 6, 7.0, 8.0f, 9) + sum_of(5, 1, 2, 3, 4, 5);
    static const uint8_t program[] = {0, 2, 1, 2, 0, 3};
    printf("%d %d %d\n", threaded(program), ackermann(2, 3), naked(5));
    printf("%d\n", (int)assembly_entry(6));
    return 0;
}
