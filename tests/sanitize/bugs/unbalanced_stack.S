/* int32_t unbalanced_stack(int32_t x): one way out forgets what is on the stack. */
        .syntax unified
        .thumb
        .section .text.unbalanced_stack, "ax", %progbits
        .global unbalanced_stack
        .type unbalanced_stack, %function
        .thumb_func
unbalanced_stack:
        push    {r0, r1}        /* BUG: stack_pointer */
        ldr     r2, [sp]
        cmp     r2, #0
        it      eq
        moveq   r0, #1
#ifdef FIXED
        add     sp, sp, #8
#endif
        bx      lr
        .size unbalanced_stack, . - unbalanced_stack
