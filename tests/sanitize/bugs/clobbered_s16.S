/* float clobbered_s16(const float *x, int32_t length), called by a C function that needs its own
   s16. */
        .syntax unified
        .thumb
        .section .text.sum_of_floats, "ax", %progbits
        .global sum_of_floats
        .type sum_of_floats, %function
        .thumb_func
sum_of_floats:
#ifdef FIXED
        vpush   {s16}
#endif
        vsub.f32 s0, s0, s0
1:      vldmia  r0!, {s16}      /* BUG: clobbered_register */
        vadd.f32 s0, s0, s16
        subs    r1, r1, #1
        bne     1b
#ifdef FIXED
        vpop    {s16}
#endif
        bx      lr
        .size sum_of_floats, . - sum_of_floats

        .section .text.clobbered_s16, "ax", %progbits
        .global clobbered_s16
        .type clobbered_s16, %function
        .thumb_func
clobbered_s16:
        push    {r4, lr}
        bl      sum_of_floats
        pop     {r4, pc}
        .size clobbered_s16, . - clobbered_s16
