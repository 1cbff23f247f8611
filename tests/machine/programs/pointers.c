/* What a call from Python can meet: arrays, structs, text, enums, functions. */
#include <stdint.h>
#include <string.h>
typedef struct { int16_t *data; uint32_t n; float scale; uint8_t tag[4]; struct { int a, b; } in; } job;
typedef enum { RED = 1, GREEN = 5 } color;
int32_t total(const int16_t *x, uint32_t n) { int32_t s = 0; while (n--) s += *x++; return s; }
void doubled(int16_t *x, uint32_t n) { while (n--) { *x = *x * 2; x++; } }
void to(const float *in, float *out, int n) { for (int i = 0; i < n; i++) out[i] = in[i] + 1; }
int scale(job *j) { for (uint32_t i = 0; i < j->n; i++) j->data[i] *= j->scale; j->in.b = j->n; j->tag[1] = 9; return j->in.a; }
int peek(const job *j) { return j->data[1] + j->tag[3]; }
job twice(job j) { j.n *= 2; j.scale *= 2; j.in.a += j.in.b; return j; }
int length(const char *s) { return strlen(s); }
void shout(char *s) { for (; *s; s++) *s -= 32; }
color next(color c) { return c == RED ? GREEN : RED; }
int apply(int (*f)(const char *), const char *s) { return f(s); }
int is_null(const void *p) { return p == 0; }
uint32_t where(const void *p) { return (uint32_t)p; }
int same(const int32_t *a, int32_t *b) { b[0] = 7; return a[0]; }
static int depth(volatile int n) { volatile char room[100]; room[0] = n; return n ? depth(n - 1) + room[0] : 0; }
int deep(int n) { return depth(n); }
int static_count(void) { static int n; return ++n; }
int32_t matrix(const int32_t m[2][3]) { return m[1][2]; }
int sum(int n, ...) { __builtin_va_list a; __builtin_va_start(a, n); double s = 0; while (n--) s += __builtin_va_arg(a, double); return s; }
void *const keep[] = { total, doubled, to, scale, peek, twice, length, shout, next, apply, is_null, where, same, deep, static_count, matrix, sum };
int main(void) { return 0; }
