@ Addresses by way of and, shifts, extracts, extends, multiplications: pure functions of registers.
    ldr   r0, =0x20000800
    ldr   r1, =0x89abcdef
    ldr   r2, =0x01234567
    movs  r7, #12
1:  uxtb  r3, r1
    ldr   r4, [r0, r3, lsl #2]
    ubfx  r3, r1, #8, #8
    str   r1, [r0, r3, lsl #2]
    sbfx  r3, r2, #16, #7
    ldr   r5, [r0, r3, lsl #2]
    lsrs  r3, r2, #24
    strb  r3, [r0, r3]
    asrs  r3, r1, #26
    ldrsb r6, [r0, r3]
    and   r3, r2, #0x3c
    bic   r6, r1, #0xffffff00
    strh  r6, [r0, r3]
    add   r6, r0, r1, lsr #24
    ldrb  r6, [r6]
    eor   r3, r1, r2, ror #9
    uxth  r3, r3
    mov   r6, #24
    lsl   r3, r3, r6
    rors  r3, r6
    uxtab r6, r0, r3, ror #8
    ldrh  r6, [r6]
    mul   r3, r1, r2
    bfc   r3, #8, #24
    mla   r3, r3, r7, r0
    str   r3, [r3]
    mov   r6, r0
    bfi   r6, r2, #2, #7
    ldr   r3, [r6]
    orr   r3, r0, #0x1c
    orn   r6, r3, #0xffffff8f
    ldr   r6, [r6, #4]
    mvn   r3, r2
    sxtb  r3, r3
    ldr   r3, [r0, r3]
    adds  r1, r1, r2
    eor   r2, r2, r1, ror #13
    subs  r7, #1
    bne   1b
@ of loaded values: one that stays, one that only its low byte outlives, one that is lost
    movs  r7, #3
2:  ldr   r3, [r0, #0]
    and   r4, r3, #0x7c
    ldr   r4, [r0, r4]
    ldr   r5, [r0, #8]
    and   r5, r5, #0xfc
    ldr   r6, [r0, r5]
    ldr   r6, [r0, #12]
    lsrs  r6, r6, #25
    ldrb  r6, [r0, r6]
    adds  r0, #4
    subs  r7, #1
    bne   2b
    bx    lr
    .ltorg
