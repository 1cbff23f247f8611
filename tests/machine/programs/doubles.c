/* Every double-precision operation over a table and over random operands, in several modes: one
 * line per operation and mode, with a hash of all results, flags and FPSCR values. With an operation's
 * name as argument, each result of it. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef RANDOM
#define RANDOM 160
#endif

typedef struct {
    uint64_t d[3];
} registers_t;

#define OPERATIONS(X) \
    X(add, "vadd.f64 d0, d1, d2") X(sub, "vsub.f64 d0, d1, d2") X(mul, "vmul.f64 d0, d1, d2") \
    X(nmul, "vnmul.f64 d0, d1, d2") X(div, "vdiv.f64 d0, d1, d2") X(sqrt, "vsqrt.f64 d0, d1") \
    X(mla, "vmla.f64 d0, d1, d2") X(mls, "vmls.f64 d0, d1, d2") \
    X(nmla, "vnmla.f64 d0, d1, d2") X(nmls, "vnmls.f64 d0, d1, d2") \
    X(fma, "vfma.f64 d0, d1, d2") X(fms, "vfms.f64 d0, d1, d2") \
    X(fnma, "vfnma.f64 d0, d1, d2") X(fnms, "vfnms.f64 d0, d1, d2") \
    X(abs, "vabs.f64 d0, d1") X(neg, "vneg.f64 d0, d1") X(mov, "vmov.f64 d0, d1") \
    X(imm, "vmov.f64 d0, #-1.9375") X(add_self, "vadd.f64 d0, d0, d0") \
    X(cmp, "vcmp.f64 d1, d2") X(cmpe, "vcmpe.f64 d1, d2") \
    X(cmp0, "vcmp.f64 d1, #0.0") X(cmpe0, "vcmpe.f64 d1, #0.0") \
    X(maxnm, "vmaxnm.f64 d0, d1, d2") X(minnm, "vminnm.f64 d0, d1, d2") \
    X(seleq, "vseleq.f64 d0, d1, d2") X(selge, "vselge.f64 d0, d1, d2") \
    X(selgt, "vselgt.f64 d0, d1, d2") X(selvs, "vselvs.f64 d0, d1, d2") \
    X(rinta, "vrinta.f64.f64 d0, d1") X(rintn, "vrintn.f64.f64 d0, d1") \
    X(rintp, "vrintp.f64.f64 d0, d1") X(rintm, "vrintm.f64.f64 d0, d1") \
    X(rintr, "vrintr.f64.f64 d0, d1") X(rintx, "vrintx.f64.f64 d0, d1") \
    X(rintz, "vrintz.f64.f64 d0, d1") \
    X(to_f32, "vcvt.f32.f64 s1, d1") X(from_f32, "vcvt.f64.f32 d0, s3") \
    X(to_s32, "vcvt.s32.f64 s0, d1") X(to_u32, "vcvt.u32.f64 s1, d1") \
    X(tor_s32, "vcvtr.s32.f64 s0, d1") X(tor_u32, "vcvtr.u32.f64 s1, d1") \
    X(from_s32, "vcvt.f64.s32 d0, s2") X(from_u32, "vcvt.f64.u32 d0, s3") \
    X(a_s32, "vcvta.s32.f64 s0, d1") X(a_u32, "vcvta.u32.f64 s0, d1") \
    X(n_s32, "vcvtn.s32.f64 s0, d1") X(n_u32, "vcvtn.u32.f64 s0, d1") \
    X(p_s32, "vcvtp.s32.f64 s0, d1") X(p_u32, "vcvtp.u32.f64 s0, d1") \
    X(m_s32, "vcvtm.s32.f64 s0, d1") X(m_u32, "vcvtm.u32.f64 s0, d1") \
    X(b_f16, "vcvtb.f16.f64 s0, d1") X(t_f16, "vcvtt.f16.f64 s1, d1") \
    X(b_f64, "vcvtb.f64.f16 d0, s2") X(t_f64, "vcvtt.f64.f16 d0, s3") \
    X(fix_s16, "vcvt.s16.f64 d0, d0, #3") X(fix_u16, "vcvt.u16.f64 d0, d0, #16") \
    X(fix_s32, "vcvt.s32.f64 d0, d0, #7") X(fix_u32, "vcvt.u32.f64 d0, d0, #32") \
    X(s16_fix, "vcvt.f64.s16 d0, d0, #5") X(u16_fix, "vcvt.f64.u16 d0, d0, #1") \
    X(s32_fix, "vcvt.f64.s32 d0, d0, #31") X(u32_fix, "vcvt.f64.u32 d0, d0, #9") \
    X(moves, "vmov r2, r3, d1\n vmov d0, r3, r2\n vmov.32 d0[1], r2\n vmov.f64 d2, d0") \
    X(even_if, "it eq\n vaddeq.f64 d0, d1, d2") \
    X(both, "ite mi\n vmulmi.f64 d0, d1, d2\n vsubpl.f64 d0, d1, d2") \
    X(four, "itete vs\n vnegvs.f64 d0, d1\n vsqrtvc.f64 d0, d1\n vaddvs.f64 d0, d0, d2\n" \
            " vdivvc.f64 d0, d0, d2") \
    X(mixed, "itttt cs\n addcs r2, r2, #1\n vmulcs.f64 d0, d1, d2\n addcs r3, r2, #1\n" \
             " vmovcs d0, r3, r2\n eor r2, r2, #3\n vmov.32 d2[0], r2") \
    X(compare_and_branch, "vcmp.f64 d1, d2\n vmrs apsr_nzcv, fpscr\n it gt\n vmovgt.f64 d0, d1\n" \
                          " bvs 1f\n vadd.f64 d0, d0, d2\n 1:")

#define FUNCTION(name, text) \
    static uint32_t do_##name(const registers_t *in, registers_t *out, uint32_t flags, uint32_t *fpscr) \
    { \
        uint32_t status = *fpscr; \
        __asm__ volatile("vldm %2, {d0-d2}\n mov r2, #2\n mov r3, #3\n msr apsr_nzcvq, %1\n" \
                         " vmsr fpscr, %0\n " text "\n vmrs %0, fpscr\n vstm %3, {d0-d2}\n" \
                         " mrs %1, apsr\n" \
                         : "+r"(status), "+r"(flags) \
                         : "r"(in), "r"(out) \
                         : "d0", "d1", "d2", "r2", "r3", "memory", "cc"); \
        *fpscr = status; \
        return flags; \
    }
OPERATIONS(FUNCTION)

typedef uint32_t (*operation_t)(const registers_t *, registers_t *, uint32_t, uint32_t *);
#define ENTRY(name, text) {#name, do_##name},
static const struct {
    const char *name;
    operation_t run;
} operations[] = {OPERATIONS(ENTRY)};

static const uint64_t table[] = {
    0x0000000000000000u, 0x8000000000000000u, /* zeros */
    0x0000000000000001u, 0x800fffffffffffffu, /* denormals */
    0x0010000000000000u, 0x8010000000000001u, /* least normals */
    0x3ff0000000000000u, 0xbff0000000000001u, 0x3feffffffffffff7u, /* about one */
    0x3ff8000000000000u, 0xc004000000000000u, /* halves: ties of integer rounding */
    0x41dfffffffe00000u, 0xc1e0000000100000u, 0x41efffffffefffffu, /* about 2**31 and 2**32 */
    0x36a0000000000000u, 0xb810000000000001u, 0x47efffffefffffffu, /* about the ends of single */
    0x3f10000000000000u, 0x3e6ffc0000000000u, 0xc0effe0000000000u, /* about the ends of half */
    0x7fefffffffffffffu, 0x7ff0000000000000u, 0xfff0000000000000u, /* greatest, infinities */
    0x7ff8000000000123u, 0xfff0000000000456u, /* a quiet and a signalling NaN */
    0x7f8000017fc01234u, 0x7c01fbff80000001u, /* singles and halves: NaNs, denormals, extremes */
    0x433fffffffffffffu, 0x3ca0000000000000u, /* for ties of addition */
};
#define TABLE (int)(sizeof table / sizeof *table)

static uint64_t random64(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Operands of like magnitude, so that rounding and cancelling happen; now and then any bits. */
static uint64_t operand(void)
{
    uint64_t bits = random64();
    if (bits >> 8 & 15)
        bits = (bits & 0x800fffffffffffffu) | (0x3fc + (bits >> 56 & 7)) << 52;
    return bits;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        hash = (hash ^ (value & 0xff)) * 0x100000001b3u;
    return hash;
}

static const uint32_t modes[] = {0u, 1u << 22, 2u << 22, 3u << 22, 3u << 24, 5u << 24 | 3u << 22};

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "";
    for (unsigned o = 0; o < sizeof operations / sizeof *operations; o++) {
        if (*only && strcmp(only, operations[o].name))
            continue;
        for (unsigned m = 0; m < sizeof modes / sizeof *modes; m++) {
            uint64_t hash = 0xcbf29ce484222325u;
            for (int n = 0; n < TABLE * TABLE + RANDOM; n++) {
                registers_t in, out;
                if (n < TABLE * TABLE)
                    in = (registers_t){{table[(5 * n + 3) % TABLE], table[n / TABLE], table[n % TABLE]}};
                else
                    in = (registers_t){{operand(), operand(), operand()}};
                uint32_t fpscr = modes[m] | (n & 1 ? 0x10u : 0u);
                uint32_t flags = operations[o].run(&in, &out, (uint32_t)n << 28, &fpscr) & 0xf8000000u;
                hash = mix(mix(hash, (uint64_t)flags << 32 | fpscr), out.d[0]);
                hash = mix(mix(hash, out.d[1]), out.d[2]);
                if (*only)
                    printf("%08lx %016llx %016llx %016llx -> %016llx %08lx %08lx\n",
                           (unsigned long)modes[m], in.d[0], in.d[1], in.d[2], out.d[0],
                           (unsigned long)fpscr, (unsigned long)flags);
            }
            printf("%s %08lx %016llx\n", operations[o].name, (unsigned long)modes[m], hash);
        }
    }
    return 0;
}
