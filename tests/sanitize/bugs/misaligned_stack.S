/* int32_t misaligned_stack(int32_t x): three words on the stack, and then a call. */
        .syntax unified
        .thumb
        .section .text.misaligned_stack, "ax", %progbits
        .global misaligned_stack_helper
        .type misaligned_stack_helper, %function
        .thumb_func
misaligned_stack_helper:
        adds    r0, r0, #1
        bx      lr
        .size misaligned_stack_helper, . - misaligned_stack_helper

        .global misaligned_stack
        .type misaligned_stack, %function
        .thumb_func
misaligned_stack:
#ifdef FIXED
        push    {r4, r5, r6, lr}
#else
        push    {r4, r5, lr}
#endif
        mov     r4, r0
        bl      misaligned_stack_helper /* BUG: misaligned_stack */
        add     r0, r0, r4
#ifdef FIXED
        pop     {r4, r5, r6, pc}
#else
        pop     {r4, r5, pc}
#endif
        .size misaligned_stack, . - misaligned_stack
