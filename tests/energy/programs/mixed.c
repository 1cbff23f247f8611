/* A mix of the kinds of work that the datasheet's "reduced code" stands for: a linked list that is
 * searched, reversed and sorted, small 16-bit matrices, a state machine over text, and a checksum.
 * Written for this project; its rates of events stand in for those of the code that was measured. */
#include <stdint.h>

#define NOINLINE __attribute__((noinline))
#define NODES 40
#define SIDE 9

struct node {
    struct node *next;
    int16_t key, place;
};

static struct node nodes[NODES];
static int16_t left[SIDE * SIDE], right[SIDE * SIDE];
static int32_t product[SIDE * SIDE];
static uint32_t states[8];
static char text[] = "5012,-874,+93,0x1,3.14,-2.71e3,7e-5,12a,.5,T0,+F,-1e+9,40,77.7,";
volatile uint32_t mixed_sink;

static NOINLINE uint16_t checksum_byte(uint8_t data, uint16_t sum)
{
    for (int i = 0; i < 8; i++) {
        unsigned low = (data ^ sum) & 1u;
        data >>= 1;
        sum >>= 1;
        if (low)
            sum ^= 0xA001u;
    }
    return sum;
}

static uint16_t checksum(uint32_t data, uint16_t sum)
{
    sum = checksum_byte((uint8_t)data, sum);
    return checksum_byte((uint8_t)(data >> 8), sum);
}

static NOINLINE struct node *find(struct node *at, int16_t key)
{
    while (at && at->key != key)
        at = at->next;
    return at;
}

static NOINLINE struct node *reverse(struct node *at)
{
    struct node *done = 0;
    while (at) {
        struct node *next = at->next;
        at->next = done;
        done = at;
        at = next;
    }
    return done;
}

static NOINLINE int by_key(const struct node *a, const struct node *b)
{
    return a->key - b->key;
}

static NOINLINE int by_place(const struct node *a, const struct node *b)
{
    return a->place - b->place;
}

static NOINLINE struct node *sort(struct node *list, int (*order)(const struct node *, const struct node *))
{
    for (int run = 1;; run *= 2) {
        struct node *from = list, *tail = 0;
        int merges = 0;
        list = 0;
        while (from) {
            struct node *other = from;
            int n = 0, m = run;
            merges++;
            for (int i = 0; i < run && other; i++, n++)
                other = other->next;
            while (n > 0 || (m > 0 && other)) {
                struct node *taken;
                if (n > 0 && (m == 0 || !other || order(from, other) <= 0)) {
                    taken = from;
                    from = from->next;
                    n--;
                } else {
                    taken = other;
                    other = other->next;
                    m--;
                }
                if (tail)
                    tail->next = taken;
                else
                    list = taken;
                tail = taken;
            }
            from = other;
        }
        tail->next = 0;
        if (merges <= 1)
            return list;
    }
}

static NOINLINE uint16_t lists(uint16_t sum)
{
    struct node *list = nodes;
    for (int i = 0; i < NODES; i++) {
        nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : 0;
        nodes[i].key = (int16_t)((i * 37 + sum) % 101);
        nodes[i].place = (int16_t)i;
    }
    for (int16_t key = 0; key < 16; key++) {
        struct node *found = find(list, (int16_t)(key * 6));
        list = reverse(list);
        sum = checksum(found ? (uint32_t)found->place : 1u, sum);
    }
    list = sort(list, by_key);
    sum = checksum((uint32_t)list->key, sum);
    list = sort(list, by_place);
    return checksum((uint32_t)list->key, sum);
}

static NOINLINE int32_t add_constant(int16_t *a, int16_t value)
{
    int32_t sum = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        a[i] = (int16_t)(a[i] + value);
        sum += a[i];
    }
    return sum;
}

static NOINLINE void multiply(const int16_t *a, const int16_t *b, int32_t *c)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int32_t sum = 0;
            for (int k = 0; k < SIDE; k++)
                sum += (int32_t)a[i * SIDE + k] * b[k * SIDE + j];
            c[i * SIDE + j] = sum;
        }
}

static NOINLINE void multiply_bits(const int16_t *a, const int16_t *b, int32_t *c)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int32_t sum = 0;
            for (int k = 0; k < SIDE; k++) {
                int32_t p = (int32_t)a[i * SIDE + k] * b[k * SIDE + j];
                sum += (p >> 2 & 15) * (p >> 5 & 127);
            }
            c[i * SIDE + j] = sum;
        }
}

static NOINLINE int16_t peaks(const int32_t *c, int32_t limit)
{
    int32_t sum = 0, before = 0;
    int16_t count = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        sum += c[i];
        if (sum > limit) {
            count += 10;
            sum = 0;
        } else {
            count += c[i] > before;
        }
        before = c[i];
    }
    return count;
}

static NOINLINE uint16_t matrices(uint16_t sum)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        left[i] = (int16_t)(i + sum);
        right[i] = (int16_t)(i * 3 - 7);
    }
    sum = checksum((uint32_t)add_constant(left, 5), sum);
    multiply(left, right, product);
    sum = checksum((uint32_t)peaks(product, 1000), sum);
    multiply_bits(left, right, product);
    return checksum((uint32_t)peaks(product, 1000), sum);
}

enum state { START, SIGN, WHOLE, POINT, EXPONENT, SCALED, WRONG };

static NOINLINE enum state next_state(const char **at)
{
    enum state state = START;
    for (; **at && **at != ','; (*at)++) {
        char c = **at;
        int digit = c >= '0' && c <= '9';
        switch (state) {
        case START:
            state = digit ? WHOLE : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : WRONG;
            break;
        case SIGN:
            state = digit ? WHOLE : c == '.' ? POINT : WRONG;
            break;
        case WHOLE:
            state = digit ? WHOLE : c == '.' ? POINT : c == 'e' ? EXPONENT : WRONG;
            break;
        case POINT:
            state = digit ? POINT : c == 'e' ? EXPONENT : WRONG;
            break;
        case EXPONENT:
            state = digit || c == '-' || c == '+' ? SCALED : WRONG;
            break;
        case SCALED:
            state = digit ? SCALED : WRONG;
            break;
        default:
            break;
        }
        states[state]++;
    }
    if (**at)
        (*at)++;
    return state;
}

static NOINLINE uint16_t machine(uint16_t sum)
{
    for (int pass = 0; pass < 4; pass++) {
        const char *at = text;
        while (*at)
            states[next_state(&at)] += 2;
        for (unsigned i = pass; i < sizeof text - 1; i += 7)
            if (text[i] != ',')
                text[i] ^= 1;
    }
    for (int i = 0; i < 7; i++)
        sum = checksum(states[i], sum);
    return sum;
}

NOINLINE void mixed_run(int32_t rounds)
{
    uint16_t sum = 0;
    for (int32_t round = 0; round < rounds; round++) {
        sum = lists(sum);
        sum = matrices(sum);
        sum = machine(sum);
    }
    mixed_sink = sum;
}
