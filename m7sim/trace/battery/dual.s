@ LDRD and STRD: offset, pre- and post-indexed, negative, base among the loaded registers.
@ expect r4=17 r5=19 r0=0x20000300
    ldr   r0, =0x20000300
    movs  r2, #17
    movs  r3, #19
    strd  r2, r3, [r0]
    strd  r3, r2, [r0, #8]
    strd  r2, r3, [r0, #16]!
    ldrd  r4, r5, [r0, #-16]
    ldrd  r6, r7, [r0], #-8
    ldrd  r8, r9, [r0, #-8]!
    str   r0, [r0]
    ldrd  r0, r1, [r0]
    ldrd  r2, r3, [r0, #4]
    bx    lr
    .ltorg
