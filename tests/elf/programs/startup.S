    .syntax unified
    .cpu cortex-m7
    .thumb

    .section .isr_vector, "a", %progbits
    .global __isr_vector
    .type __isr_vector, %object
__isr_vector:
    .word __StackTop
    .word Reset_Handler
    .word Default_Handler
    .size __isr_vector, . - __isr_vector

    .text
    .global Reset_Handler
    .type Reset_Handler, %function
Reset_Handler:
    ldr r0, =__StackTop
    mov sp, r0
    bl main
    b .
    .size Reset_Handler, . - Reset_Handler

    .global Default_Handler
    .type Default_Handler, %function
Default_Handler:
    b .
    .size Default_Handler, . - Default_Handler
    .weak NMI_Handler
    .set NMI_Handler, Default_Handler

/* A label without type or size is a function all the same. */
    .global untyped
    .thumb_func
untyped:
    adds r0, #1
    bx lr
    .word 0x12345678
