/* Runs one experiment between two readings of the cycle counter.
 *
 * An experiment finds
 *   r5 = 8, r6 = 16, r7 = 24, r8 = 0   operands; every sum and product of them is an address
 *   r9  constants in flash             behind the data cache
 *   r10 data, 256-byte aligned         in DTCM; words 0 to 31 hold its address, 32 to 63 hold 0
 *   r12 = r10 + 512                    for the fence of the template
 *   r4  copies                         for loops
 *   s0 to s31 = 1.0, flags NE, CS, GE, VC
 * may change all but sp, r12 and memory from r12 on, and ends with "b.w probe_done". */
    .syntax unified
    .cpu cortex-m7
    .fpu fpv5-sp-d16
    .thumb
    .text

/* uint32_t probe_measure(void (*setup)(void), void (*entry)(void), volatile uint32_t *counter,
 *                        uint32_t copies) */
    .global probe_measure
    .type probe_measure, %function
    .balign 32
probe_measure:
    push    {r4-r11, lr}
    vpush   {s16-s31}
    push    {r1-r3}             /* entry, counter, first reading */
    mov     lr, r0
    mov     r4, r3
    ldr     r0, =probe_ones
    vldmia  r0!, {s0-s15}
    vldmia  r0, {s16-s31}
    movs    r0, #0
    movs    r1, #0
    movs    r2, #0
    movs    r3, #0
    ldr     r9, =probe_constants
    ldr     r10, =probe_data
    movs    r5, #8
    movs    r6, #16
    movs    r7, #24
    mov     r8, #0
    mov     r11, #0
    add     r12, r10, #512
    blx     lr
    cmp     r6, r5
    ldr     lr, [sp, #4]
    dsb
    isb
    ldr     lr, [lr]
    str     lr, [sp, #8]
    ldr     lr, [sp]
    dsb
    isb
    bx      lr

    .global probe_done
    .thumb_func
    .balign 32
probe_done:
    ldr     r1, [sp, #4]
    ldr     r0, [r1]
    ldr     r1, [sp, #8]
    subs    r0, r0, r1
    add     sp, sp, #12
    vpop    {s16-s31}
    pop     {r4-r11, pc}
    .ltorg
    .size probe_measure, . - probe_measure

    .global probe_no_setup
    .type probe_no_setup, %function
probe_no_setup:
    bx      lr
    .size probe_no_setup, . - probe_no_setup

    .section .rodata
    .balign 8
probe_ones:
    .rept 32
    .float 1.0
    .endr
