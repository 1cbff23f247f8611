/* A mix of integer, string and record work in many small functions, of the kind and proportions
 * that small synthetic benchmarks of the 1980s measure; written for this project. */
#include <stdint.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

struct record {
    struct record *next;
    int kind, number;
    char text[32];
};

static struct record first, second;
static int counts[32], table[24][24];
static char one[32], two[32];
static int chosen;
static char letter_a, letter_b;
volatile int mix_sink;

static NOINLINE int same_letter(char a, char b)
{
    char x = a, y = x;
    if (y != b)
        return 0;
    letter_a = x;
    return 1;
}

static NOINLINE int text_order(const char *a, const char *b)
{
    int place = 2;
    char letter = 0;
    while (place <= 2)
        if (same_letter(a[place], b[place + 1]) == 0) {
            letter = 'A';
            place++;
        }
    if (letter >= 'W' && letter < 'Z')
        place = 7;
    if (letter == 'R')
        return 1;
    if (strcmp(a, b) > 0) {
        place += 7;
        chosen = place;
        return 1;
    }
    return 0;
}

static NOINLINE void advance(int in, int *out)
{
    *out = in + 2;
    switch (in) {
    case 0: *out = 0; break;
    case 1: *out = chosen > 100 ? 0 : 3; break;
    case 2: *out = 1; break;
    case 4: *out = 2; break;
    default: break;
    }
}

static NOINLINE void add_two(int a, int b, int *sum)
{
    *sum = b + a + 2;
}

static NOINLINE void fill_arrays(int *row, int (*rows)[24], int a, int b)
{
    int at = a + 5;
    row[at] = b;
    row[at + 1] = row[at];
    row[at + 15] = at;
    for (int k = at; k <= at + 1; k++)
        rows[at][k] = at;
    rows[at][at - 1] += 1;
    rows[at + 10 - 2][at] = row[at];
    chosen = 5;
}

static NOINLINE void touch(struct record **place)
{
    if (*place)
        *place = first.next;
    add_two(10, chosen, &first.number);
}

static NOINLINE void copy_record(struct record *from)
{
    struct record *to = from->next;
    *to = *from;
    from->number = 5;
    to->number = from->number;
    to->next = from->next;
    touch(&to->next);
    if (to->kind == 0) {
        to->number = 6;
        advance(from->kind, &to->kind);
        add_two(to->number, 10, &to->number);
    } else {
        *from = *to;
    }
}

static NOINLINE void letters(void)
{
    int flag = letter_a == 'A';
    flag |= letter_b == 'B';
    letter_b = 'B';
    mix_sink = flag;
}

static NOINLINE void settle(void)
{
    int local = chosen + 10;
    for (;;) {
        if (letter_a == 'A') {
            local--;
            mix_sink = local - chosen;
            break;
        }
        letter_a = 'A';
    }
}

NOINLINE void mix_run(int32_t rounds)
{
    first.next = &second;
    second.next = 0;
    first.kind = 0;
    first.number = 40;
    strcpy(first.text, "SMALL PROGRAM, SOME TEXT IN IT");
    strcpy(one, "SMALL PROGRAM, THE FIRST TEXT");
    for (int32_t round = 1; round <= rounds; round++) {
        int a = 2, b = 3, c = 0;
        settle();
        letters();
        strcpy(two, "SMALL PROGRAM, THE OTHER TEXT");
        mix_sink = !text_order(one, two);
        while (a < b) {
            c = 5 * a - b;
            add_two(a, b, &c);
            a++;
        }
        fill_arrays(counts, table, a, c);
        copy_record(&first);
        for (char k = 'A'; k <= letter_b; k++)
            if (same_letter(k, 'C'))
                advance(0, &b);
        b = b * a;
        a = b / (c | 1);
        b = 7 * (b - c) - a;
        chosen = b & 7;
    }
}
