/* Types and prototypes; `layout` is the compiler's own word on sizes and offsets. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int8_t q7_t;
typedef const q7_t *weights_t;
enum color { RED, GREEN = 5, BLUE };
typedef enum { MINUS = -2, PLUS = 2 } sign_t;

struct inner {
    uint8_t tag;
    double value;
};

typedef struct node {
    struct node *next;
    struct inner inner;
    int16_t grid[2][3];
    enum color color;
    union {
        uint32_t word;
        uint8_t bytes[4];
    };
    struct {
        float x, y;
    } point;
    void (*callback)(int, const char *);
    bool flag;
    long long wide;
} node_t;

union either {
    float f;
    uint32_t u;
};

struct bits {
    unsigned a : 3;
    unsigned b : 5;
};

struct opaque;

const uint32_t layout[] = {
    sizeof(node_t), offsetof(node_t, next), offsetof(node_t, inner), offsetof(node_t, grid),
    offsetof(node_t, color), offsetof(node_t, word), offsetof(node_t, bytes),
    offsetof(node_t, point), offsetof(node_t, callback), offsetof(node_t, flag),
    offsetof(node_t, wide), sizeof(struct inner), offsetof(struct inner, value),
    sizeof(union either), sizeof(enum color), sizeof(sign_t), sizeof(wchar_t), sizeof(bool),
};

void nothing(void) {}
int32_t scalars(int8_t a, uint8_t b, int16_t c, unsigned short d, long e, unsigned f) {
    return a + b + c + d + e + (int)f;
}
double floats(float a, double b) { return (double)a + b; }
long long wide(int a, long long b, uint64_t c) { return a + b + (long long)c; }
bool truth(_Bool a, char b, signed char c) { return a && b && c; }
const char *pointers(weights_t w, volatile int *p, void *v, const void *cv, char **list) {
    return w && p && v && cv ? list[0] : 0;
}
void arrays(const q7_t in[16], int32_t out[restrict static 4], int16_t grid[2][3]) {
    out[0] = in[0] + grid[1][2];
}
node_t by_value(node_t n, struct inner i, union either e) { n.inner = i; n.point.x = e.f; return n; }
enum color enums(enum color c, sign_t s) { return s == PLUS ? c : RED; }
int callbacks(int (*compare)(const void *, const void *), void (*done)(void)) {
    done();
    return compare(0, 0);
}
int variadic(const char *format, ...) { return format[0]; }
int unprototyped() { return 1; }
int with_bits(struct bits *b) { return (int)b->a + (int)b->b; }
int with_opaque(struct opaque *o) { return o != 0; }
float _Complex complex_number(float _Complex c) { return c; }
typedef int vector_t __attribute__((vector_size(16)));
int with_vector(vector_t *v) { return (*v)[0]; }
const volatile int qualified(const int a, int *const b) { return a + *b; }
static inline int both(int first, float second) { return first + (int)second; }
int (*take_address(void))(int, float) { return both; }
int inlined_too(int x) { return both(x, 2.0f); }

int main(void) { return layout[0] != 0; }
