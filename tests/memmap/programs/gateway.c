/* A gateway's inner loop: decrypts packets (AES-128 by tables), checks them (CRC-32 by a table),
 * sorts their records, files them in a linked list and a hash table. More tables, nodes and code
 * are in use at once than the caches hold. */
#include "m7sim.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS 12
#define RECORDS 24
#define NODES 192
#define BUCKETS 128

typedef struct {
    uint32_t key, value;
} record_t;

typedef struct node {
    struct node *next;
    uint32_t key, value, age;
} node_t;

static uint32_t enc0[256], enc1[256], enc2[256], enc3[256]; /* made at start, as small code does */
static uint8_t sbox[256];
static uint32_t crc_table[256];
static uint32_t round_keys[44];
static node_t nodes[NODES];
static uint16_t buckets[BUCKETS];
static uint8_t packet[RECORDS * sizeof(record_t)];
static record_t records[RECORDS];
static uint8_t history[8192]; /* touched once a packet, in one place */
static const uint8_t priorities[1024] = {3, 1, 4, 1, 5, 9, 2, 6};
volatile uint32_t result;

static uint32_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint8_t twice(uint8_t x) { return (uint8_t)(x << 1 ^ (x >> 7) * 0x1B); }

static void make_tables(void)
{
    uint8_t p = 1, q = 1;
    do { /* powers of 3 and of its inverse in GF(2^8) */
        p = (uint8_t)(p ^ twice(p));
        q ^= (uint8_t)(q << 1);
        q ^= (uint8_t)(q << 2);
        q ^= (uint8_t)(q << 4);
        if (q & 0x80)
            q ^= 0x09;
        uint8_t x = (uint8_t)(q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^
                              (q << 4 | q >> 4));
        sbox[p] = x ^ 0x63;
    } while (p != 1);
    sbox[0] = 0x63;
    for (int i = 0; i < 256; i++) {
        uint32_t s = sbox[i], s2 = twice(sbox[i]);
        enc0[i] = s2 | s << 8 | s << 16 | (s ^ s2) << 24;
        enc1[i] = rotate(enc0[i], 24);
        enc2[i] = rotate(enc0[i], 16);
        enc3[i] = rotate(enc0[i], 8);
        uint32_t c = (uint32_t)i;
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
        crc_table[i] = c;
    }
}

static void expand_key(const uint8_t key[16])
{
    uint32_t constant = 1;
    memcpy(round_keys, key, 16);
    for (int i = 4; i < 44; i++) {
        uint32_t t = round_keys[i - 1];
        if (i % 4 == 0) {
            t = rotate(t, 8);
            t = sbox[t & 255] | (uint32_t)sbox[t >> 8 & 255] << 8 |
                (uint32_t)sbox[t >> 16 & 255] << 16 | (uint32_t)sbox[t >> 24] << 24;
            t ^= constant;
            constant = twice((uint8_t)constant);
        }
        round_keys[i] = round_keys[i - 4] ^ t;
    }
}

__attribute__((noinline)) static void encrypt(uint32_t s[4])
{
    const uint32_t *k = round_keys;
    uint32_t a = s[0] ^ k[0], b = s[1] ^ k[1], c = s[2] ^ k[2], d = s[3] ^ k[3];
    for (int round = 1; round < 10; round++) {
        k += 4;
        uint32_t e = enc0[a & 255] ^ enc1[b >> 8 & 255] ^ enc2[c >> 16 & 255] ^ enc3[d >> 24];
        uint32_t f = enc0[b & 255] ^ enc1[c >> 8 & 255] ^ enc2[d >> 16 & 255] ^ enc3[a >> 24];
        uint32_t g = enc0[c & 255] ^ enc1[d >> 8 & 255] ^ enc2[a >> 16 & 255] ^ enc3[b >> 24];
        d = enc0[d & 255] ^ enc1[a >> 8 & 255] ^ enc2[b >> 16 & 255] ^ enc3[c >> 24];
        a = e ^ k[0], b = f ^ k[1], c = g ^ k[2], d ^= k[3];
    }
    k += 4;
    const uint32_t in[4] = {a, b, c, d};
    for (int i = 0; i < 4; i++)
        s[i] = k[i] ^ (sbox[in[i] & 255] | (uint32_t)sbox[in[(i + 1) & 3] >> 8 & 255] << 8 |
                       (uint32_t)sbox[in[(i + 2) & 3] >> 16 & 255] << 16 |
                       (uint32_t)sbox[in[(i + 3) & 3] >> 24] << 24);
}

__attribute__((noinline)) static void decipher(uint8_t *data, size_t bytes, uint32_t counter)
{
    for (size_t i = 0; i < bytes; i += 16) {
        uint32_t stream[4] = {counter, (uint32_t)i, ~counter, 0}, words[4];
        encrypt(stream);
        memcpy(words, data + i, 16);
        for (int k = 0; k < 4; k++)
            words[k] ^= stream[k];
        memcpy(data + i, words, 16);
    }
}

__attribute__((noinline)) static uint32_t check(const uint8_t *data, size_t bytes)
{
    uint32_t c = ~0u;
    while (bytes--)
        c = c >> 8 ^ crc_table[(c ^ *data++) & 255];
    return ~c;
}

static int by_key(const void *a, const void *b)
{
    uint32_t x = ((const record_t *)a)->key, y = ((const record_t *)b)->key;
    return (x > y) - (x < y);
}

__attribute__((noinline)) static void file(const record_t *r)
{
    uint32_t hash = (r->key * 2654435761u) >> 25;
    node_t *n = &nodes[(r->key ^ buckets[hash]) % NODES];
    n->key = r->key;
    n->value = r->value + priorities[r->key & 1023];
    buckets[hash]++;
}

__attribute__((noinline)) static uint32_t walk(void)
{
    uint32_t sum = 0;
    for (node_t *n = nodes; n; n = n->next) {
        n->age++;
        sum += n->value;
    }
    return sum;
}

int main(void)
{
    static const uint8_t key[16] = "not a secret key";
    make_tables();
    expand_key(key);
    for (int i = 0; i < NODES; i++) /* neighbours in the list lie far apart */
        nodes[i * 67 % NODES].next = i + 1 < NODES ? &nodes[(i + 1) * 67 % NODES] : NULL;
    uint32_t sum = 0;
    m7_begin();
    for (uint32_t p = 0; p < PACKETS; p++) {
        for (size_t i = 0; i < sizeof packet; i++)
            packet[i] = (uint8_t)next_random();
        decipher(packet, sizeof packet, p);
        sum += check(packet, sizeof packet);
        memcpy(records, packet, sizeof packet);
        qsort(records, RECORDS, sizeof *records, by_key);
        for (int i = 0; i < RECORDS; i++)
            file(&records[i]);
        memcpy(history + p % 16 * 512, packet, sizeof packet);
        sum += walk();
    }
    m7_end();
    result = sum;
    return 0;
}
