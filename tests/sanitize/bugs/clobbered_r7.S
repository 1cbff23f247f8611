/* int32_t clobbered_r7(const int32_t *x, int32_t length): a sum kept in r7, which is the caller's. */
        .syntax unified
        .thumb
        .section .text.clobbered_r7, "ax", %progbits
        .global clobbered_r7
        .type clobbered_r7, %function
        .thumb_func
clobbered_r7:
#ifdef FIXED
        push    {r7, lr}
#endif
        movs    r7, #0
1:      ldr     r2, [r0], #4
        add     r7, r7, r2      /* BUG: clobbered_register */
        subs    r1, r1, #1
        bne     1b
        mov     r0, r7
#ifdef FIXED
        pop     {r7, pc}
#else
        bx      lr
#endif
        .size clobbered_r7, . - clobbered_r7
